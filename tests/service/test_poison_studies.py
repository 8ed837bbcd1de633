"""A real study worker with a study that kills it, beside studies that do not."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from api_schemas.studies import StudyState
from paretune import commands
from paretune.child_process import python_child
from service.settings import settings
from service.storage.database import transaction
from service.storage.models import Study
from service.trials import sweeper
from tests.service.poisoned_worker import POISON_COUNT
from tests.service.trials.test_turns import posted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def poisoned_worker(
    service_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("PARETUNE_LEASE_SECONDS", "2")
    monkeypatch.setenv("PARETUNE_WAKE_UP_SECONDS", "0.3")
    settings.cache_clear()
    command = [
        part.replace("service.tasks", "tests.service.poisoned_worker")
        for part in commands.study_worker("poisoned")
    ]
    worker = python_child(
        "poisoned", command, log=tmp_path / "worker.log",
        environment={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}, stop_signal=signal.SIGQUIT,
    )  # fmt: skip
    worker.start()
    yield
    worker.stop()


@pytest.mark.slow
def test_a_study_that_kills_its_worker_ends_up_paused_and_the_others_have_their_trials(
    poisoned_worker: None,
) -> None:
    """One worker for all of them; the kernel kills it three times."""
    poison = posted(parallelism=POISON_COUNT - 1, budget={"trials": 20})
    good = [posted(parallelism=2) for _ in range(4)]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        sweeper.sweep_once()
        with transaction() as session:
            studies = {study.id: study for study in session.scalars(select(Study))}
        if studies[poison].state is StudyState.PAUSED and all(studies[one].trials_created for one in good):
            break
        time.sleep(0.2)
    assert studies[poison].state is StudyState.PAUSED
    assert "3 times in a row" in str(studies[poison].state_reason)
    assert [studies[one].trials_created for one in good] == [3] * 4
    assert {studies[one].turn_attempts for one in good} == {0}
