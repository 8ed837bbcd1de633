"""Any process may be killed in the middle of a study: its budget is spent exactly, its history is whole."""

import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from api_schemas.studies import StudyRead, StudyState
from api_schemas.trials import TrialState
from paretune.client import Client
from paretune.local import Stack
from tests.conftest import reachable_directory
from tests.end_to_end.stack import TINY, check_history, stack_on, submit, wait_for, wait_until_ended

pytestmark = pytest.mark.chaos


def kill(stack: Stack, name: str) -> None:
    child = next(item.child for item in stack.supervised if item.child.name == name)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    assert child.process is not None
    child.process.wait()


def some_trial_runs(client: Client, study_id: str) -> bool:
    return any(trial.state is TrialState.RUNNING for trial in client.trials(study_id))


@pytest.fixture(scope="module")
def stack_to_break() -> Iterator[tuple[Stack, Client]]:
    """One server for all tests: each leaves it whole."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        reachable_directory() as directory,
        stack_on(directory / "state", monkeypatch) as running,
    ):
        yield running


# A wiped Valkey is the harder case, and `test_poison_studies` kills a study worker: these wait for the night.
OFTEN_KILLED = ("study-worker", "valkey")


@pytest.mark.parametrize(
    "victim",
    [
        "trial-worker-0", "valkey, wiped", "postgres",
        *(pytest.param(name, marks=pytest.mark.nightly) for name in OFTEN_KILLED),
    ],
)  # fmt: skip
def test_a_killed_process_costs_nothing(stack_to_break: tuple[Stack, Client], victim: str) -> None:
    """Kill -9 while a trial runs, twice; for Valkey also with all of its data gone."""
    name, _, wiped = victim.partition(", ")
    stack, client = stack_to_break
    study = submit(client, budget={"trials": 4}, parallelism=1)
    for _ in range(2):
        wait_for(stack, lambda: some_trial_runs(client, study.id))
        kill(stack, name)
        if wiped:
            shutil.rmtree(stack.state_dir / "valkey" / "appendonlydir")
        wait_for(stack, lambda: all(item.child.is_running() for item in stack.supervised))
    ended = wait_until_ended(stack, client, study)
    assert ended.state is StudyState.SUCCEEDED
    assert ended.trials.succeeded == 4
    check_history(stack, ended)


@pytest.mark.nightly
def test_what_killed_the_child_of_a_worker_stands_in_the_log_of_its_trial(
    stack_to_break: tuple[Stack, Client],
) -> None:
    """Below what it had said while it trained."""
    stack, client = stack_to_break
    training = {"epochs": 200, "max_length": 16, "batch_size": 16}
    study = submit(client, configuration={**TINY, "training": training}, budget={"trials": 1})

    def said() -> str:
        texts = [
            log.text for one in client.trials(study.id) for log in client.trial_logs(study.id, one.id).logs
        ]
        return texts[0] if texts else ""

    wait_for(stack, lambda: "measured step=" in said())
    worker = next(iter(client.trials(study.id))).worker
    assert worker is not None
    os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
    wait_for(stack, lambda: "error: the process of this attempt was ended: signal 9 (SIGKILL)" in said())
    assert "measured step=" in said()
    client.cancel(study.id)


@pytest.fixture(scope="module")
def restarted() -> Iterator[tuple[Stack, Client, StudyRead]]:
    """A server after everything died at once, as when the power fails; in its study a trial had succeeded.

    Leases are long from now on: what comes back at once did not wait for the end of one.
    """
    with pytest.MonkeyPatch.context() as monkeypatch, reachable_directory() as directory:
        with stack_on(directory / "state", monkeypatch) as (stack, client):
            study = submit(client, budget={"trials": 3})
            wait_for(stack, lambda: client.get_study(study.id).trials.succeeded >= 1)
            for item in stack.supervised:
                kill(stack, item.child.name)
        with stack_on(directory / "state", monkeypatch, lease_seconds=600) as (stack, client):
            yield stack, client, study


def test_a_server_killed_whole_goes_on_where_it_was(restarted: tuple[Stack, Client, StudyRead]) -> None:
    """The next start finishes the study."""
    stack, client, study = restarted
    ended = wait_until_ended(stack, client, study)
    assert (ended.state, ended.trials.succeeded) == (StudyState.SUCCEEDED, 3)
    check_history(stack, ended)


def test_a_stopped_worker_gives_its_trial_back(restarted: tuple[Stack, Client, StudyRead]) -> None:
    """SIGQUIT releases the lease at once, long before it would expire, and costs no attempt."""
    stack, client, _ = restarted
    study = submit(client, budget={"trials": 2})
    wait_for(stack, lambda: some_trial_runs(client, study.id))
    worker = next(item.child for item in stack.supervised if item.child.name == "trial-worker-0")
    assert worker.process is not None
    worker.process.send_signal(signal.SIGQUIT)
    ended = wait_until_ended(stack, client, study)
    assert ended.trials.succeeded == 2
    assert max(trial.attempt for trial in client.trials(study.id)) == 2
    check_history(stack, ended)


def test_cancelling_stops_a_running_trial_within_a_heartbeat(stack_to_break: tuple[Stack, Client]) -> None:
    """A long trial does not hold a cancelled study open."""
    stack, client = stack_to_break
    long = {
        "backbone": "all-MiniLM-L6-v2",
        "task": {"name": "rotten-tomatoes"},
        "training": {"epochs": 100},
    }
    study = submit(client, configuration=long)
    wait_for(stack, lambda: some_trial_runs(client, study.id))
    client.cancel(study.id)
    wait_for(stack, lambda: client.get_study(study.id).state is StudyState.CANCELLED, seconds=30)
