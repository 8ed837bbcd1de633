"""What goes wrong between processes: messages doubled or lost, connections cut, crowds, clocks."""

import ast
import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import httpx
import pytest
from kombu import Connection
from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import ClaimedTrial, TrialState
from service.optimization.problem import Suggestion
from service.runtime.broker import ADVANCE_STUDY, RUN_TRIAL, STUDIES_QUEUE, TRIALS_QUEUE, celery_app
from service.settings import settings
from service.storage import database, queries
from service.storage.database import engine, transaction
from service.storage.models import Event, Replicate, Study, Tenant, Trial
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.suggestions.study_suggestions import SuggestionRequest, read_request, store_suggestions
from service.trials import leases, sweeper
from tests.conftest import API_KEY, Connect, study_body
from tests.service.studies.invariants import check_study
from tests.service.trials.test_leases import (
    REPORT,
    expire_all_leases,
    forget_wake_ups,
    set_state,
    stored_study,
)
from tests.service.trials.test_queue import distinct, stored
from tests.service.trials.test_trial_machine import custom_study, propose

pytestmark = pytest.mark.usefixtures("service_environment")

ROOT = Path(__file__).parents[2]
AUTHORIZED = {"Authorization": f"Bearer {API_KEY}"}


class Killed(BaseException):
    """The end of a process: nothing catches it."""


def must_claim(worker: str = "w") -> ClaimedTrial:
    claimed = leases.claim(worker)
    assert claimed is not None
    return claimed


def ends_of(trial_id: str) -> int:
    with transaction() as session:
        query = select(func.count()).where(
            Event.trial_id == trial_id, Event.type == EventType.TRIAL_SUCCEEDED
        )
        return session.execute(query).scalar_one()


@contextmanager
def messages(name: str) -> Iterator[Callable[[], Any]]:
    """Give what takes the next message of a queue, without acknowledging it; None once it is empty."""
    with celery_app.connection_for_read() as connection:
        assert isinstance(connection, Connection)
        queue = connection.SimpleQueue(name)

        def take() -> Any:
            with contextlib.suppress(Empty):
                return queue.get_nowait()
            return None

        yield take
        queue.close()


def purge(name: str) -> None:
    with messages(name) as take:
        while (message := take()) is not None:
            message.ack()


def test_a_wake_up_delivered_fifty_times_runs_a_trial_once() -> None:
    """Four workers, one of the deliveries for each try; the first claim is the only one."""
    purge(TRIALS_QUEUE)
    stored_study(trials=1)
    for _ in range(49):
        celery_app.send_task(RUN_TRIAL)

    def work(number: int) -> tuple[int, int]:
        delivered = run = 0
        with messages(TRIALS_QUEUE) as take:
            while (message := take()) is not None:
                message.ack()
                delivered += 1
                claimed = leases.claim(f"w{number}")
                if claimed is not None:
                    run += 1
                    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
        return delivered, run

    with ThreadPoolExecutor(4) as pool:
        delivered, run = map(sum, zip(*pool.map(work, range(4)), strict=True))
    assert (delivered, run) == (50, 1)


def test_a_message_that_comes_back_during_its_trial_starts_no_second() -> None:
    """As after a visibility timeout; messages are acknowledged before a trial begins, so none need to."""
    assert celery_app.conf.task_acks_late is False
    purge(TRIALS_QUEUE)
    stored_study(trials=1)
    with messages(TRIALS_QUEUE) as take:
        first = take()
        claimed = must_claim()
        first.requeue()
        second = take()
        assert second.headers["id"] == first.headers["id"]
        assert leases.claim("other") is None
        second.ack()
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    assert ends_of(claimed.trial_id) == 1


def test_a_poison_trial_ends_and_the_queue_moves() -> None:
    """It takes its worker with it each time; then it has failed, with the reason, and the next one runs."""
    study_id = stored_study(trials=2)
    poison = must_claim()
    for attempt in range(2, settings().max_attempts + 1):
        expire_all_leases()
        sweeper.sweep_once()
        assert (again := must_claim()).attempt == attempt
        assert again.trial_id == poison.trial_id
    expire_all_leases()
    sweeper.sweep_once()
    healthy = must_claim()
    assert healthy.trial_id != poison.trial_id
    leases.complete(healthy.trial_id, healthy.attempt, REPORT)
    with transaction() as session:
        trial = session.get_one(Trial, poison.trial_id)
        assert (trial.state, trial.state_reason) == (TrialState.FAILED, "lost its worker 3 times")
        assert session.get_one(Study, study_id).state is StudyState.SUCCEEDED


@contextmanager
def cut_at_next_commit(*, when: str) -> Iterator[list[str]]:
    """Lose the connection of the next transaction that wrote something, before or after its commit."""
    cuts: list[str] = []

    def cut(connection: DatabaseConnection) -> None:
        wrote = connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar()
        if wrote is None or cuts:
            return
        cuts.append(when)
        driver = connection.connection.dbapi_connection
        assert driver is not None
        if when == "after":
            driver.commit()
        pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        with transaction() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        if when == "after":
            driver.close()
            raise OperationalError("COMMIT", {}, ConnectionResetError("the answer was lost"))

    event.listen(engine(), "commit", cut)
    yield cuts
    event.remove(engine(), "commit", cut)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_lost_at_the_commit_of_a_result_stores_it_once(when: str) -> None:
    """The worker cannot know which it was; it says the result again, and there is one."""
    study_id = stored_study(trials=1)
    claimed = must_claim()
    with cut_at_next_commit(when=when) as cuts:
        leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    assert cuts == [when]
    assert ends_of(claimed.trial_id) == 1
    with transaction() as session:
        study = session.get_one(Study, study_id)
        assert (study.state, study.front_sequence) == (StudyState.SUCCEEDED, 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_request_whose_answer_was_lost_has_one_effect(when: str, connect: Connect) -> None:
    """503; the same request under the same key then gets the answer, and there is one study."""
    client = connect(headers=AUTHORIZED | {"Idempotency-Key": "k"})
    with cut_at_next_commit(when=when) as cuts:
        lost = client.post("/v1/studies", json=study_body())
    assert (lost.status_code, cuts) == (503, [when])
    again, third = (client.post("/v1/studies", json=study_body()) for _ in range(2))
    assert (again.status_code, "idempotent-replayed" in again.headers) == (201, when == "after")
    assert third.content == again.content
    with transaction() as session:
        assert session.scalars(select(Study.id)).all() == [again.json()["id"]]
        types = session.scalars(select(Event.type)).all()
    assert types == [EventType.STUDY_CREATED]


def test_a_wake_up_lost_between_commit_and_sending_is_sent_by_the_sweeper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process dies there; study and trial are stored, and both kinds of worker are woken."""
    with monkeypatch.context() as patched:

        def die(_: object) -> None:
            raise Killed

        patched.setattr(database, "send_wake_ups", die)
        with pytest.raises(Killed):
            stored_study(trials=1)
    for queue in (STUDIES_QUEUE, TRIALS_QUEUE):
        purge(queue)
    forget_wake_ups()
    sweeper.sweep_once()
    sent = []
    for queue in (STUDIES_QUEUE, TRIALS_QUEUE):
        with messages(queue) as take:
            while (message := take()) is not None:
                message.ack()
                sent.append(message.headers["task"])
    assert sent == [ADVANCE_STUDY, RUN_TRIAL]
    assert must_claim().attempt == 1


def test_a_crowd_of_runners_meets_no_deadlock(server_url: str) -> None:
    """Six runners that beat, complete, release and fall silent: no 5xx, and every trial ends once."""
    request = custom_study(budget={"trials": 18}, parallelism=6)
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        study = create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)
        for x in range(18):
            propose(session, study, x=x)
        trials = f"/v1/studies/{study.id}/trials"
    statuses: set[int] = set()

    def run(number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(base_url=server_url, headers=AUTHORIZED, timeout=60) as client:

            def say(path: str, **body: object) -> dict[str, Any]:
                answer = client.post(path, json=body)
                statuses.add(answer.status_code)
                return dict(answer.json())

            state = "ACTIVE"
            while state == "ACTIVE":
                found = say(f"{trials}:suggest", worker_id=f"w{number}")
                state = found.get("study_state", state)
                for trial in found.get("trials", []):
                    path, attempt = f"{trials}/{trial['trial_id']}", trial["attempt"]
                    for _ in range(chance.randint(0, 2)):
                        say(f"{path}:heartbeat", attempt=attempt)
                    if chance.random() < 0.1:
                        say(f"{path}:release", attempt=attempt)
                    elif chance.random() < 0.1:
                        expire_all_leases()
                        sweeper.sweep_once()
                    metrics = {"error": chance.random(), "watts": chance.random()}
                    say(f"{path}:complete", attempt=attempt, state="SUCCEEDED", metrics=metrics)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))
    assert statuses <= {200, 409}
    with transaction() as session:
        check_study(session, study.id)
        ended = queries.count_trials(session, [study.id])[study.id]
        assert ended.succeeded + ended.failed == 18
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert session.execute(text(query)).scalar_one() == 0


def test_two_study_workers_that_propose_at_once_keep_budget_and_queue() -> None:
    """What both want is queued once, and no more than one of them would have queued."""
    study_id = stored(budget={"trials": 5}, parallelism=2)
    together = threading.Barrier(2)

    def advance(first: int) -> SuggestionRequest | None:
        with transaction() as session:
            request = read_request(session, study_id)
        together.wait()
        if request is not None:
            suggestions = [Suggestion(distinct(first + each), "logehvi") for each in range(request.count)]
            with transaction() as session:
                store_suggestions(session, study_id, suggestions, request=request, seconds=0.1)
        return request

    for turn in range(4):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(advance, [10 * turn, 10 * turn + 1]))
        with transaction() as session:
            check_study(session, study_id)
            queued = queries.trials_in(session, study_id, [TrialState.QUEUED])
            created = session.get_one(Study, study_id).trials_created
            assert len(queued) == min(4, 5 - created + len(queued))
        claimed = must_claim()
        leases.complete(claimed.trial_id, claimed.attempt, REPORT)


def test_a_study_cancelled_while_its_worker_was_away_is_not_run() -> None:
    """The wake-up still waits for the worker, and leads to nothing."""
    study_id = stored_study(trials=2)
    set_state(study_id, steering.cancel)
    assert leases.claim("back") is None
    with transaction() as session:
        assert session.get_one(Study, study_id).state is StudyState.CANCELLED
        assert set(session.scalars(select(Trial.state))) == {TrialState.CANCELLED}


def test_leases_are_counted_by_the_clock_of_the_database_alone() -> None:
    """No module that hands them out or takes them back asks this machine for the time of day."""
    names = ("leases", "ask_and_tell", "sweeper", "lifecycle", "replication", "claimable_studies")
    modules = [ROOT / "service" / "trials" / f"{name}.py" for name in names]
    modules.append(ROOT / "service" / "storage" / "queries.py")
    asked = [
        ast.unparse(node)
        for module in modules
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today", "time", "localtime")
    ]
    assert asked == []
    stored_study(trials=1)
    must_claim()
    with transaction() as session:
        left = func.extract("epoch", Replicate.lease_expires_at - func.clock_timestamp())
        assert 0 < float(session.scalars(select(left)).one()) <= settings().lease_seconds
