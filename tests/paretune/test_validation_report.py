"""`paretune validate`, against the server of the environment."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from paretune.cli import app
from paretune.client import Client
from paretune.errors import RequestRefused
from tests.conftest import API_KEY, study_body
from tests.paretune.client.studies import DOCUMENT


@pytest.fixture
def study_file(server_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    return tmp_path / "study.yaml"


def test_what_a_study_comes_to_is_shown(study_file: Path, client: Client) -> None:
    """Task, space, first trials; as JSON for programs. Nothing is stored."""
    study_file.write_text(yaml.safe_dump(study_body(search_space={"preset": "auto"}, budget={"trials": 20})))
    done = CliRunner().invoke(app, ["validate", str(study_file)])
    assert done.exit_code == 0, done.output
    assert "This study can run: a study" in done.output
    assert "25% of that for further seeds" in done.output
    assert "0  LoRA 8 (query, value) on all 6 layers, rate" in done.output
    as_json = CliRunner().invoke(app, ["validate", str(study_file), "--json"]).stdout
    answer = as_json[as_json.index("{\n") :]  # the server's log stands before it
    assert json.loads(answer)["study"]["race"] == {"share": 0.25}
    assert list(client.studies()) == []


def test_an_uploaded_file_is_called_as_its_owner_calls_it(study_file: Path, tmp_path: Path) -> None:
    """Not by the folder that the server keeps it in."""
    rows = "".join(f"a good film number {n},yes\na dull film number {n},no\n" for n in range(30))
    (tmp_path / "reviews.csv").write_text(f"review,label\n{rows}", encoding="utf-8")
    task = {"name": "file:reviews.csv", "text_column": "review", "label_column": "label"}
    study_file.write_text(
        yaml.safe_dump(study_body(configuration={"backbone": "all-MiniLM-L6-v2", "task": task}))
    )
    output = CliRunner().invoke(app, ["validate", str(study_file)]).output
    assert "on file:reviews.csv (classification, 2 outputs, 5 folds)" in output


def test_rows_that_are_left_out_are_counted(study_file: Path, tmp_path: Path) -> None:
    """By the reason, before anything trains on the rest."""
    rows = "".join(f"a good film number {n % 30},yes\na dull film number {n % 29},no\n" for n in range(30))
    (tmp_path / "reviews.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    task = {"name": "file:reviews.csv"}
    study_file.write_text(
        yaml.safe_dump(study_body(configuration={"backbone": "all-MiniLM-L6-v2", "task": task}))
    )
    output = CliRunner().invoke(app, ["validate", str(study_file)]).output
    assert "left out: 1 repeated texts" in output


def test_a_super_network_says_what_it_costs(study_file: Path) -> None:
    """Before it is paid for."""
    body = study_body(
        search_space={"preset": "depth"},
        objectives=[
            {"metric": "score", "direction": "maximize"},
            {"metric": "flops", "direction": "minimize"},
        ],
        budget={"trials": 12},
        proposals={"one_shot": {"epochs": 1}},
    )
    study_file.write_text(yaml.safe_dump(body))
    output = CliRunner().invoke(app, ["validate", str(study_file)]).output
    assert "trains a super-network first, for as much as 1 of these trainings" in output


def test_a_custom_study_says_who_runs_its_trials(study_file: Path) -> None:
    """There is no backbone to speak of."""
    study_file.write_text(yaml.safe_dump(DOCUMENT))
    assert "a program of yours" in CliRunner().invoke(app, ["validate", str(study_file)]).output


def test_what_the_server_refuses_names_the_line(study_file: Path) -> None:
    """As with `create`."""
    study_file.write_text(yaml.safe_dump(study_body(starting_points=[{"peft.lora.rank": 3}])))
    done = CliRunner().invoke(app, ["validate", str(study_file)])
    assert isinstance(done.exception, RequestRefused)
    assert "line " in str(done.exception)
