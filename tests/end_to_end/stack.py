"""The whole server on real parts, and a small real study, for tests that watch or break it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from api_schemas.objectives import Objective
from api_schemas.studies import StudyRead, StudyState
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialState
from paretune.client import Client
from paretune.local import Stack, running_stack
from service.storage.models import Event, Replicate, StoredFront, Trial
from service.trials.lifecycle import ENDED
from tests.conftest import make_study_request, reachable_directory
from tests.service.studies.replay import replayed_fronts

TINY = {
    "backbone": "all-MiniLM-L6-v2",
    "task": {"name": "rotten-tomatoes", "train_rows": 48, "validation_rows": 32, "test_rows": 32},
    "training": {"epochs": 1, "max_length": 16, "batch_size": 16},
}


@contextmanager
def stack_on(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, *, trial_workers: int = 1, lease_seconds: float = 3.0
) -> Iterator[tuple[Stack, Client]]:
    """Start the server with short leases, so that what is lost is found within seconds."""
    for name in ("DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARETUNE_LEASE_SECONDS", str(lease_seconds))
    monkeypatch.setenv("PARETUNE_SWEEP_SECONDS", "0.3")
    monkeypatch.setenv("PARETUNE_WAKE_UP_SECONDS", "1")
    with (
        running_stack(state_dir, trial_workers=trial_workers, say=print) as stack,
        Client(stack.url, api_key=stack.api_key) as client,
    ):
        yield stack, client


@pytest.fixture(scope="package")
def shared_stack() -> Iterator[tuple[Stack, Client]]:
    """One server with two trial workers, for tests that break nothing."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        reachable_directory() as directory,
        stack_on(directory / "state", monkeypatch, trial_workers=2, lease_seconds=30) as running,
    ):
        yield running


def submit(client: Client, **changes: object) -> StudyRead:
    return client.create_study(make_study_request(**{"configuration": TINY, **changes}))


def wait_for(
    stack: Stack, condition: Callable[[], bool], *, seconds: float = 180.0, every: float = 0.1
) -> None:
    """Supervise until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        stack.supervise_once()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(every)


def wait_until_ended(stack: Stack, client: Client, study: StudyRead) -> StudyRead:
    final = (StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED)
    wait_for(stack, lambda: client.get_study(study.id).state in final, every=0.5)
    return client.get_study(study.id)


def check_history(stack: Stack, study: StudyRead) -> None:
    """Hold the stored history of a study against what must be true of every study."""
    engine = create_engine(stack.environment["DATABASE_URL"])
    with Session(engine) as session:
        events = list(
            session.scalars(select(Event).where(Event.study_id == study.id).order_by(Event.sequence))
        )
        trials = list(session.scalars(select(Trial).where(Trial.study_id == study.id).order_by(Trial.number)))
        replicates = list(session.scalars(select(Replicate).where(Replicate.study_id == study.id)))
        fronts = list(
            session.scalars(
                select(StoredFront).where(StoredFront.study_id == study.id).order_by(StoredFront.sequence)
            )
        )
    engine.dispose()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len(trials) == study.budget.trials
    assert {trial.state for trial in trials} <= TERMINAL_TRIAL_STATES
    assert len({trial.configuration_key for trial in trials}) == len(trials)
    for trial in trials:
        mine = [event for event in events if event.trial_id == trial.id]
        assert len([event for event in mine if event.type in ENDED.values()]) == 1
        starts = [event.attempt for event in mine if event.type == "trial.started"]
        assert starts == list(range(1, trial.attempt + 1))
    assert {replicate.state for replicate in replicates} <= TERMINAL_TRIAL_STATES
    objectives = [Objective.model_validate(item) for item in study.objectives]
    expected = replayed_fronts(objectives, events, replicates)
    assert [(front.trial_id, set(front.member_trial_ids)) for front in fronts] == expected
    assert [front.sequence for front in fronts] == list(range(1, len(fronts) + 1))
    assert len(fronts) >= sum(trial.state is TrialState.SUCCEEDED for trial in trials)
