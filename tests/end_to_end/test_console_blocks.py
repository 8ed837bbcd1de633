"""Console blocks, typed as they stand, against the real application and in a folder of their own.

What a page leaves open, an id or the name of a file, is filled in. Each command that is not typed here is
named with the test that runs it, or with what it needs that no test has.
"""

import os
import re
import runpy
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import httpx
import optuna
import pytest
import yaml
from typer.testing import CliRunner

from api_schemas.yaml_documents import load_yaml
from paretune.cli import app
from paretune.client import Client
from tests.code_blocks import ROOT, commands, of, one
from tests.conftest import API_KEY
from tests.end_to_end.test_documents import COMMANDS
from tests.test_code_blocks import proposing

TUTORIAL = "docs/tutorial/your-script.md"
SCRIPT = """
import json, os
found = json.load(open(os.environ["PARETUNE_PARAMETERS"]))
print(json.dumps({"mass": found["height"], "deflection": 1 / found["height"]}))
"""
SHELL_SCRIPT = """#!/bin/sh
echo "{\\"mass\\": $1, \\"deflection\\": 1.0}"
"""
ROWS = "review,stars,author\n" + "".join(f"text {number},{number % 5 + 1},a\n" for number in range(200))

ASKS = ("revoke", "restore", "init")
"""Commands that ask a person, or read --yes."""
AGENTS = (
    "paretune agent STUDY -- python train.py",
    "paretune agent STUDY -- python train.py {arguments}",
    "paretune agent latest -- ./bend.sh {height} {material}",
)
SCRIPT_AS_IT_IS = ("paretune create beam.yaml", "paretune agent beam -- python train.py {arguments}")
CREATE = "paretune create STUDY.yaml"
STREAM = (
    "curl -N -H 'Authorization: Bearer $KEY' -H 'Accept: text/event-stream'"
    " '$URL/v1/studies/$STUDY/events?after=0'"
)
STUDY = (
    "paretune validate STUDY.yaml",
    CREATE,
    "paretune resume STUDY",
    "paretune status [STUDY]",
    "paretune recommend STUDY",
    "paretune report STUDY",
    "paretune logs STUDY 7",
    "curl -H 'Authorization: Bearer $PARETUNE_API_KEY' $PARETUNE_URL/v1/studies/std_.../pareto_front",
    STREAM,
    "paretune extend STUDY --trials 8",
    "paretune export-optuna STUDY sqlite:///study.db",
    "paretune import-optuna sqlite:///study.db NAME",
    "paretune export-mlflow STUDY --tracking-uri sqlite:///mlflow.db",
)
OPERATOR = (
    "paretune keys create --tenant lab --scope write --name ci --expires-in-days 90",
    "paretune keys create --tenant lab --scope write --name ci",
    "paretune keys list --tenant lab",
    "paretune keys revoke key_...",
    "paretune tenants limit lab --running-trials 4",
    "paretune tenants list",
    "paretune audit",
    "PARETUNE_API_KEY_FILE=/etc/paretune/api_key paretune migrate",
    "paretune migrate",
    "paretune backup nightly.tar",
    "paretune restore nightly.tar",
)
FILES = (
    "paretune init reviews.csv",
    "paretune upload reviews.csv",
    "curl -H 'Authorization: Bearer $PARETUNE_API_KEY'"
    " -T reviews.csv $PARETUNE_URL/v1/task_files/reviews.csv",
    "curl -H 'Authorization: Bearer $PARETUNE_API_KEY' $PARETUNE_URL/v1/task_files",
)
BENCHMARKS = (
    "python -m benchmarks.optimiser list",
    "python -m benchmarks.peft_table show",
    "python -m benchmarks.peft_table report",
    "python -m benchmarks.portfolio",
)

DOCUMENTS = "tests/end_to_end/test_documents.py"
RUN_ELSEWHERE = {
    rf"paretune ({'|'.join(COMMANDS)}) (reviews|smaller|study|STUDY)\b.*": DOCUMENTS,
    r"paretune up|make up": "tests/paretune/test_local.py",
    r"paretune workers": "tests/paretune/test_box_workers.py",
    r"paretune mcp": "tests/paretune/mcp_server/test_server.py",
    r"python -m (uvicorn|celery) .*": "tests/paretune/test_local.py",
    r"make (install|demo)|source \.venv.*": "tests/packaging/test_fresh_clone.py",
    r"make (test|check|lint|docs)": ".ci/run",
    r"python -m build --wheel|python -m venv .*|source .*/bin/activate": "tests/packaging/test_wheel.py",
    r"pip install (build|--(constraint|no-deps) .*)": "tests/packaging/test_wheel.py",
    r"sbatch .*": "tests/deploy/test_slurm.py",
    r"systemctl .*": "tests/deploy/test_systemd.py",
    r"export \w+=.*": "tests/test_code_blocks.py",
}
NEEDED = {
    r"python -m benchmarks\.\w+ (run|seconds|report|record|replay).*": "hours; tests run their parts",
    r"make nightly": "half an hour; it is what runs tests",
    r"docker .*": "an engine",
    r"useradd .*|install -(d|m) .*": "the system's own folders",
    r"mkdir -m 700 secrets .*|printf .*|cp \.env.*": "the folder of a deployment",
    r"(uvx|pipx) .*": "a program that Paretune does not bring",
    r"pip install '?paretune\[.*": "a published package",
}
"""What nothing here has; their options are held to the compose file, the units and the Makefile elsewhere."""


def spelt(command: str) -> str:
    """Return a command with one kind of quotation marks."""
    return command.replace('"', "'")


TYPED = list(dict.fromkeys(spelt(command) for block in of("console") for command in commands(block)))


def test_every_command_is_run() -> None:
    """Here, or by a test that exists; what needs more than a test has is named with it."""
    here = {*AGENTS, *SCRIPT_AS_IT_IS, *STUDY, *OPERATOR, *FILES, *BENCHMARKS}
    assert here - set(TYPED) == set()
    known = [re.compile(pattern) for pattern in (*RUN_ELSEWHERE, *NEEDED)]
    rest = [command for command in TYPED if command not in here]
    assert [one for one in rest if not any(pattern.fullmatch(one) for pattern in known)] == []
    assert [one.pattern for one in known if not any(map(one.fullmatch, rest))] == []
    assert [test for test in RUN_ELSEWHERE.values() if not (ROOT / test).exists()] == []


@pytest.fixture
def client(server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Of a person in a folder of their own, who has set what the pages set."""
    for name, value in {"URL": server_url, "API_KEY": API_KEY}.items():
        monkeypatch.setenv(f"PARETUNE_{name}", value)
    monkeypatch.setenv("URL", server_url)
    monkeypatch.setenv("KEY", API_KEY)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with Client(server_url, api_key=API_KEY) as opened:
        yield opened


def typed(command: str, filled: Mapping[str, str] | None = None) -> str:
    """Return what a command prints; one that fails fails the test."""
    for gap, value in (filled or {}).items():
        command = command.replace(gap, value)
    words = [os.path.expandvars(word) for word in shlex.split(command)]
    if words[0] == "curl":
        return fetched(words[1:])
    assert words.pop(0) == "paretune"
    asks = ["--yes"] if set(words[:2]) & set(ASKS) else []
    done = CliRunner().invoke(app, words + asks)
    assert done.exit_code == 0, (command, done.output, done.exception)
    return done.output


def fetched(words: list[str]) -> str:
    """Return what curl would get; of a stream, what its first event says."""
    options = dict(pairwise(words))
    headers = {
        words[number + 1].partition(": ")[0]: words[number + 1].partition(": ")[2]
        for number, word in enumerate(words)
        if word == "-H"
    }
    sent = Path(options["-T"]).read_bytes() if "-T" in options else None
    with httpx.stream("PUT" if sent else "GET", words[-1], headers=headers, content=sent) as answer:
        answer.raise_for_status()
        if "-N" not in words:
            return answer.read().decode()
        return next(line for line in answer.iter_lines() if line.startswith("data:"))


def beam(page: str, client: Client, *, name: str = "beam") -> str:
    """Create the study of a page with one trial; return its id."""
    document = load_yaml(one(page, "yaml"))
    assert isinstance(document, dict)
    text = yaml.safe_dump({**document, "display_name": name, "budget": {"trials": 1}})
    for file in ("beam.yaml", "STUDY.yaml"):
        Path(file).write_text(text, encoding="utf-8")
    typed(SCRIPT_AS_IT_IS[0] if page == TUTORIAL else CREATE)
    return next(iter(client.studies())).id


def bring_scripts() -> None:
    Path("train.py").write_text(SCRIPT, encoding="utf-8")
    Path("bend.sh").write_text(SHELL_SCRIPT, encoding="utf-8")
    Path("bend.sh").chmod(0o700)


def test_scripts_run_the_trials_of_custom_studies(client: Client) -> None:
    """Each way to call them that the pages show, each to the end of a study of one trial."""
    bring_scripts()
    pages = dict.fromkeys(AGENTS, "docs/ask_and_tell.md") | {SCRIPT_AS_IT_IS[1]: TUTORIAL}
    for number, (command, page) in enumerate(pages.items()):
        study_id = beam(page, client, name="beam" if page == TUTORIAL else f"number {number}")
        with proposing(study_id):
            printed = typed(command, {"STUDY": study_id})
        assert "is SUCCEEDED: 1 trial" in printed


@contextmanager
def measuring(study_id: str, client: Client) -> Iterator[None]:
    """Be the machine that runs the trials of a study until its end."""

    def measure() -> None:
        for trial in client.study(study_id).open_trials():
            with trial:
                trial.complete(mass=1.0, deflection=1.0)

    thread = threading.Thread(target=measure)
    thread.start()
    yield
    thread.join()


# MLflow's own tables use a loader that SQLAlchemy 2.1 has deprecated.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_a_study_is_steered_and_taken_elsewhere(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its file, through its end and an extension, to Optuna, MLflow and back."""
    study_id = beam("docs/ask_and_tell.md", client)
    client.pause(study_id)
    monkeypatch.setenv("STUDY", study_id)
    optuna.create_study(study_name="mine", storage="sqlite:///study.db").add_trial(
        optuna.trial.create_trial(
            params={"x": 0.5}, distributions={"x": optuna.distributions.FloatDistribution(0, 1)}, value=1.0
        )
    )
    gaps = {
        "logs STUDY 7": f"logs {study_id} 0",
        "[STUDY]": study_id,
        " STUDY ": f" {study_id} ",
        "std_...": study_id,
        "NAME": "mine",
    }
    with proposing(study_id), measuring(study_id, client):
        printed = {command: typed(f"{command} ", gaps) for command in STUDY if command != CREATE}
    assert study_id in printed["paretune status [STUDY]"]
    assert "study.created" in printed[STREAM]
    assert client.get_study(study_id).budget.trials == 9
    assert {study.display_name for study in client.studies()} >= {"beam", "mine"}
    assert {"study.db", "mlflow.db"} <= {path.name for path in Path().iterdir()}


def test_an_operator_gives_keys_and_brings_a_backup_back(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the order of the pages; a revoked key is revoked, and back after the restore."""
    file = tmp_path / "api_key"
    file.write_text(API_KEY, encoding="utf-8")
    url = os.environ["PARETUNE_URL"]
    gaps = {"key_...": "", "PARETUNE_API_KEY_FILE=/etc/paretune/api_key ": ""}
    printed = {}
    for command in OPERATOR:
        if command.startswith("PARETUNE_API_KEY_FILE"):
            monkeypatch.setenv("PARETUNE_API_KEY_FILE", str(file))
        if command == "paretune audit":
            monkeypatch.setenv("PARETUNE_URL", url)
        else:
            monkeypatch.delenv("PARETUNE_URL", raising=False)
        printed[command] = typed(command, gaps)
        found = re.search(r"key_\w+", printed[command])
        gaps["key_..."] = found[0] if found else gaps["key_..."]
    assert "lab" in printed["paretune tenants list"]
    assert "first key" in printed["paretune audit"]


def test_files_are_looked_at_and_brought(client: Client) -> None:
    """By the command and by curl."""
    Path("reviews.csv").write_text(ROWS, encoding="utf-8")
    printed = [typed(command) for command in FILES]
    assert "200 rows with the columns review, stars, author" in printed[1]
    assert '"rows":200' in printed[2]
    assert "reviews.csv" in printed[3]
    assert Path("study.yaml").exists()


@pytest.mark.parametrize("command", BENCHMARKS)
def test_benchmarks_show_what_is_recorded(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without training anything."""
    _, _, module, *arguments = command.split()
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    monkeypatch.delitem(sys.modules, module, raising=False)
    with suppress(SystemExit):
        runpy.run_module(module, run_name="__main__")
    assert capsys.readouterr().out
