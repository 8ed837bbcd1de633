"""Trials of a custom study, run by a script through an agent, against the real application."""

import contextlib
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from paretune.agent import NotForAgents, ScriptBroken, run_agent
from paretune.cli import app
from paretune.client import Client
from tests.conftest import API_KEY
from tests.paretune.client.studies import queued_study, replicate_of
from tests.service.trials.test_leases import stored_study

SCRIPT = """
import json, os, sys
x = json.load(open(os.environ["PARETUNE_PARAMETERS"]))["x"]
assert sys.argv[1] == f"--x={x}"
metrics = json.dumps({"cost": x, "gain": 1.0})
if x == 0.1:
    open(os.environ["PARETUNE_METRICS"], "w").write(metrics)
elif x == 0.2:
    print("epoch 1"); print(metrics)
elif x == 0.3:
    sys.exit(65)
else:
    raise MemoryError
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text(SCRIPT)
    return file


def quiet(_: str) -> None:
    pass


def test_a_study_is_run_to_its_end_by_a_script(
    client: Client, server_url: str, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics from a file and from a last line, and two ways in which parameters cannot work."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    study_id = queued_study(trials=4)
    done = CliRunner().invoke(app, ["agent", "latest", "--", sys.executable, str(script), "{arguments}"])
    assert done.exit_code == 0, done.output
    assert "epoch 1" in done.output
    assert f"Study {study_id} is SUCCEEDED: 4 trials were run here." in done.output
    trials = list(client.trials(study_id))
    assert [trial.state for trial in trials] == [TrialState.SUCCEEDED] * 2 + [TrialState.INFEASIBLE] * 2
    assert [trial.metrics.get("cost") for trial in trials[:2]] == [0.1, 0.2]
    assert client.get_study(study_id).state is StudyState.SUCCEEDED
    of_second = CliRunner().invoke(app, ["logs", "latest", "1"])
    assert of_second.output.startswith("attempt 1, replicate 0, last heard ")
    assert '  epoch 1\n  {"cost": 0.2, "gain": 1.0}\n' in of_second.output
    [of_last] = client.trial_logs(study_id, trials[3].id).logs
    assert "MemoryError" in of_last.text
    assert of_last.text.splitlines()[-1] == "out of memory: MemoryError"


@pytest.mark.parametrize(
    ("told", "states"),
    [
        ('{"cost": 0.5, "gain": 1, "val/acc": 0.9, "self": 1}', [TrialState.SUCCEEDED]),
        ('{"val/acc": 0.9}', [TrialState.FAILED]),
    ],
)
def test_numbers_that_no_metric_may_be_called_as_cost_no_trial(
    client: Client, told: str, states: list[TrialState]
) -> None:
    """They are named; where nothing else is told, the script has failed."""
    study_id, said = queued_study(trials=1, budget={"trials": 1}, parallelism=1), list[str]()
    command = [sys.executable, "-c", f"print({told!r})"]
    with contextlib.suppress(ScriptBroken):
        run_agent(client, study_id, command, show=said.append, tell=quiet)
    assert [trial.state for trial in client.trials(study_id)][:1] == states
    assert any("letters, digits and _ behind it: val/acc." in line for line in said)


def test_a_broken_script_does_not_spend_the_budget(client: Client) -> None:
    """Three failures in a row are enough to say so."""
    study_id = queued_study(trials=4)
    with pytest.raises(ScriptBroken):
        run_agent(client, study_id, [sys.executable, "-c", "1/0"], show=quiet, tell=quiet)
    reasons = {trial.state_reason for trial in client.trials(study_id)} - {None}
    assert all("ZeroDivisionError" in str(reason) for reason in reasons)
    assert reasons


def test_an_agent_that_is_interrupted_gives_its_trial_back(client: Client) -> None:
    """At no cost of an attempt; the script ends with it."""
    study_id = queued_study(trials=1)
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        run_agent(client, study_id, [sys.executable, "-c", code], show=quiet, tell=quiet)
    (trial,) = client.trials(study_id)
    assert trial.state is TrialState.QUEUED
    assert replicate_of(trial.id).lost_attempts == 0


def test_a_study_that_paretune_trains_is_refused(client: Client) -> None:
    """Its workers run its trials."""
    with pytest.raises(NotForAgents, match="kind peft"):
        run_agent(client, stored_study(trials=1), ["true"], show=quiet, tell=quiet)
