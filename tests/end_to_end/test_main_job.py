"""From a posted study to a loaded adapter, on the real server, model and text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_schemas.studies import StudyState
from paretune.cli import app
from paretune.client import Client
from paretune.export import export_trial
from paretune.local import Stack
from tests.end_to_end.stack import check_history, submit, wait_until_ended

pytestmark = pytest.mark.slow


def test_a_study_ends_in_an_adapter_that_loads(shared_stack: tuple[Stack, Client], state_root: Path) -> None:
    """Eight trials on two workers, linear probe first; the export predicts in a fresh process."""
    stack, client = shared_stack
    study = submit(client, budget={"trials": 8}, parallelism=2, starting_points=[{}])
    ended = wait_until_ended(stack, client, study)
    assert (ended.state, ended.trials.succeeded) == (StudyState.SUCCEEDED, 8)
    check_history(stack, ended)
    trials = list(client.trials(study.id))
    assert trials[0].generated_by == "starting_point"
    assert trials[0].configuration.is_head_only
    front = client.pareto_front(study.id)
    best = next(trial for trial in trials if trial.id == front.points[0].trial_id)
    folder = export_trial(client, study, best, folder=state_root / "adapter")
    assert "| test | score |" in (folder / "README.md").read_text()
    loaded = subprocess.run(
        [sys.executable, folder / "load.py", "a film full of warmth and wit", "dull and far too long"],
        capture_output=True,
        text=True,
        check=True,
    )
    labels = [line.split("\t")[0] for line in loaded.stdout.splitlines()]
    assert len(labels) == 2
    assert set(labels) <= {"negative", "positive"}


def test_the_front_gets_a_second_seed_before_the_study_succeeds(
    shared_stack: tuple[Stack, Client],
) -> None:
    """Three trials on two real workers, one further seed for each member; only seed 0 leaves files."""
    stack, client = shared_stack
    study = submit(client, budget={"trials": 3}, parallelism=2, final_replicates=1)
    ended = wait_until_ended(stack, client, study)
    assert (ended.state, ended.trials.succeeded) == (StudyState.SUCCEEDED, 3)
    check_history(stack, ended)
    front = client.pareto_front(study.id)
    assert {point.seeds for point in front.points} == {2}
    for trial in client.trials(study.id):
        assert [item.seed for item in trial.replicates] == [0, 1][: len(trial.replicates)]
        assert [item.provenance["seed"] for item in trial.replicates] == [0, 1][: len(trial.replicates)]
        scores = [item.metrics["score"] for item in trial.replicates]
        assert trial.metrics["score"] == pytest.approx(sum(scores) / len(scores))
        saved = list((stack.state_dir / "artifacts" / study.id / trial.id).iterdir())
        assert len(saved) == 1


def test_run_writes_front_plot_and_adapter(
    shared_stack: tuple[Stack, Client], state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`paretune run` on a server that is there; with its own, it is interrupted in `test_interrupted_run`."""
    stack, _ = shared_stack
    monkeypatch.setenv("PARETUNE_URL", stack.url)
    monkeypatch.setenv("PARETUNE_API_KEY", stack.api_key)
    study_file = state_root / "study.yaml"
    study_file.write_text(
        """
display_name: a small study
configuration:
  backbone: all-MiniLM-L6-v2
  task: {name: rotten-tomatoes, train_rows: 48, validation_rows: 32, test_rows: 32}
  training: {epochs: 1, max_length: 16}
search_space: {preset: lora}
objectives:
  - {metric: score, direction: maximize}
  - {metric: trainable_parameters, direction: minimize}
budget: {trials: 2}
"""
    )
    output = state_root / "out"
    result = CliRunner().invoke(app, ["run", str(study_file), "--output", str(output)])
    assert result.exit_code == 0, result.output
    (folder,) = output.iterdir()
    assert json.loads((folder / "pareto_front.json").read_text())["points"]
    assert (folder / "pareto_front.png").read_bytes().startswith(b"\x89PNG")
    (adapter,) = folder.glob("trial-*")
    # LoRA that is alone in its trial is saved in the format of HF peft, too.
    in_peft_format = {"adapter_config.json", "adapter_model.safetensors"}
    assert {file.name for file in adapter.iterdir()} - in_peft_format == {
        "weights.safetensors", "configuration.json", "README.md", "load.py",
    }  # fmt: skip
    listed = CliRunner().invoke(app, ["resume", "a small study", "--output", str(state_root / "again")])
    assert "a small study: SUCCEEDED" in listed.output
