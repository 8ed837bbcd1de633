"""Claims, heartbeats and results under contention, on a real Postgres."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate, StudyState
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.errors import StaleAttempt
from service.runtime.broker import ADVANCE_STUDY, RUN_TRIAL
from service.storage import database, queries
from service.storage.database import engine, transaction
from service.storage.models import Replicate, Study, Tenant, Trial, TrialMeasurement
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.trials import leases, lifecycle, sweeper
from tests.conftest import make_study_request

pytestmark = pytest.mark.usefixtures("service_environment")

REPORT = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})


def stored_study(*, trials: int, parallelism: int = 1, budget: int | None = None, **changes: object) -> str:
    request: StudyCreate = make_study_request(
        budget={"trials": budget or trials}, parallelism=parallelism, **changes
    )
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        study = create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)
        for _ in range(trials):
            lifecycle.add_trial(
                session,
                study,
                parameters={},
                configuration=study.configuration,
                configuration_key=uuid.uuid4().hex,
                generated_by="test",
                proposal_seconds=0.0,
            )
        return study.id


def set_state(study_id: str, change: Callable[[Session, Study], Study]) -> None:
    with transaction() as session:
        change(session, session.get_one(Study, study_id))


def forget_wake_ups() -> None:
    """Let an hour pass since the last wake-up of every kind."""
    hour_ago = func.now() - func.make_interval(0, 0, 0, 0, 1)
    with transaction() as session:
        due = case((Study.turn_due_at.is_not(None), hour_ago))
        session.execute(update(Study).values(woken_at=hour_ago, hinted_at=hour_ago, turn_due_at=due))


def sent_by(action: Callable[[Session], object]) -> list[str]:
    """Return the tasks of the wake-ups that an action and its own transactions send."""
    sent: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "send_wake_ups", lambda some: sent.extend(one.task for one in some))
        with transaction() as session:
            action(session)
    return sent


def expire_all_leases() -> None:
    with transaction() as session:
        session.execute(
            update(Replicate)
            .where(Replicate.state == TrialState.RUNNING)
            .values(lease_expires_at=func.now() - func.make_interval(0, 0, 0, 0, 1))
        )


def test_nothing_is_claimed_where_nothing_waits() -> None:
    """A wake-up without work is harmless."""
    assert leases.claim("w") is None


def test_a_paused_study_hands_out_nothing() -> None:
    """Its queued trials wait until it is resumed."""
    study_id = stored_study(trials=1)
    set_state(study_id, steering.pause)
    assert leases.claim("w") is None
    set_state(study_id, steering.resume)
    assert leases.claim("w") is not None


def test_two_workers_never_share_a_trial() -> None:
    """Eight threads take forty trials, each exactly once."""
    stored_study(trials=40, parallelism=40)
    barrier = threading.Barrier(8)

    def take(_: int) -> list[str]:
        barrier.wait()
        taken = []
        while (claimed := leases.claim("w")) is not None:
            taken.append(claimed.trial_id)
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [trial_id for part in pool.map(take, range(8)) for trial_id in part]
    assert len(taken) == len(set(taken)) == 40


def test_parallelism_holds_under_a_race() -> None:
    """Eight workers at once get no more than the study allows."""
    stored_study(trials=10, parallelism=2)
    barrier = threading.Barrier(8)

    def take(_: int) -> bool:
        barrier.wait()
        return leases.claim("w") is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 2


def test_an_expired_lease_gives_the_trial_to_another_worker() -> None:
    """The late worker's heartbeat, measurement and result are all refused."""
    stored_study(trials=1)
    first = leases.claim("slow")
    assert first is not None
    expire_all_leases()
    sweeper.sweep_once()
    second = leases.claim("fast")
    assert second is not None
    assert (second.trial_id, second.attempt) == (first.trial_id, 2)
    with pytest.raises(StaleAttempt):
        leases.heartbeat(first.trial_id, first.attempt)
    with pytest.raises(StaleAttempt):
        leases.record_measurement(first.trial_id, first.attempt, Measurement(step=1, metrics={}))
    with pytest.raises(StaleAttempt):
        leases.complete(first.trial_id, first.attempt, REPORT)
    leases.complete(second.trial_id, second.attempt, REPORT)


def test_a_heartbeat_keeps_the_lease() -> None:
    """A trial whose worker is alive is not taken back."""
    stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    expire_all_leases()
    assert leases.heartbeat(claimed.trial_id, claimed.attempt) is False
    sweeper.sweep_once()
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)


def test_a_heartbeat_tells_a_worker_that_its_study_was_cancelled() -> None:
    """The worker stops; giving the trial back ends the study."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    set_state(study_id, steering.cancel)
    assert leases.heartbeat(claimed.trial_id, claimed.attempt) is True
    leases.release(claimed.trial_id, claimed.attempt)
    with transaction() as session:
        assert session.get_one(Study, study_id).state is StudyState.CANCELLED


def test_a_measurement_sent_twice_is_stored_once(session: Session) -> None:
    """A repeated report of the same step changes nothing."""
    stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    for value in (0.1, 0.2):
        leases.record_measurement(
            claimed.trial_id, claimed.attempt, Measurement(step=1, metrics={"score": value})
        )
    assert session.scalars(select(TrialMeasurement)).one().metrics == {"score": 0.1}


def test_two_reapers_take_a_trial_back_once(session: Session) -> None:
    """However many sweep at once, one expired lease costs one attempt."""
    stored_study(trials=1)
    leases.claim("w")
    expire_all_leases()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sweeper.sweep_once(), range(8)))
    assert session.scalars(select(Trial)).one().state is TrialState.QUEUED
    assert session.scalars(select(Replicate)).one().lost_attempts == 1


def test_the_last_result_ends_the_study(session: Session) -> None:
    """A study that has spent its budget is SUCCEEDED in the same transaction."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    assert session.get_one(Study, study_id).state is StudyState.SUCCEEDED


def test_each_seed_of_a_trial_is_claimed_once_with_its_own_number() -> None:
    """The worker is told its seed, and where to save: only the first seed leaves an artifact."""
    stored_study(trials=1, parallelism=3, replicates=3)
    claims = [leases.claim(f"w{number}") for number in range(4)]
    assert claims.pop() is None
    seeds = [(one.replicate, one.configuration.training.seed, one.attempt) for one in claims if one]
    assert seeds == [(0, 0, 1), (1, 1, 2), (2, 2, 3)]
    first, *others = [one for one in claims if one]
    assert first.artifacts_path == f"{first.study_id}/{first.trial_id}/1"
    assert [one.artifacts_path for one in others] == [None, None]


def test_parallelism_counts_running_seeds() -> None:
    """One trial with four seeds does not take more workers than its study may have."""
    stored_study(trials=1, parallelism=2, replicates=4)
    assert [leases.claim("w") is not None for _ in range(4)] == [True, True, False, False]


def test_seeds_of_one_trial_are_never_shared_under_a_race() -> None:
    """Eight threads run ten trials of four seeds; every attempt is handed out and accepted once."""
    study_id = stored_study(trials=10, parallelism=40, replicates=4)
    barrier = threading.Barrier(8)

    def work(_: int) -> list[tuple[str, int]]:
        barrier.wait()
        taken = []
        while (claimed := leases.claim("w")) is not None:
            assert leases.heartbeat(claimed.trial_id, claimed.attempt) is False
            leases.complete(claimed.trial_id, claimed.attempt, REPORT)
            taken.append((claimed.trial_id, claimed.replicate))
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [seed for part in pool.map(work, range(8)) for seed in part]
    assert len(taken) == len(set(taken)) == 40
    with transaction() as session:
        study = session.get_one(Study, study_id)
        assert (study.state, study.front_sequence) == (StudyState.SUCCEEDED, 10)


def test_an_expired_lease_of_a_final_seed_goes_to_another_worker(session: Session) -> None:
    """The reaper takes it back, the late worker is refused, and the study ends with the second attempt."""
    study_id = stored_study(trials=1, final_replicates=1)
    only = leases.claim("w")
    assert only is not None
    leases.complete(only.trial_id, only.attempt, REPORT)
    silent = leases.claim("slow")
    assert silent is not None
    assert (silent.trial_id, silent.replicate, silent.attempt) == (only.trial_id, 1, 2)
    expire_all_leases()
    sweeper.sweep_once()
    second = leases.claim("fast")
    assert second is not None
    assert (second.replicate, second.attempt) == (1, 3)
    with pytest.raises(StaleAttempt):
        leases.complete(silent.trial_id, silent.attempt, REPORT)
    leases.complete(second.trial_id, second.attempt, REPORT)
    assert session.get_one(Study, study_id).state is StudyState.SUCCEEDED


def test_a_claim_goes_past_a_study_that_is_in_use() -> None:
    """To another one at once; where there is no other, it waits."""
    in_use, other = stored_study(trials=2, parallelism=2), stored_study(trials=1)
    with ThreadPoolExecutor(1) as thread:
        with transaction() as session:
            queries.lock_study(session, in_use)
            claimed = leases.claim("w")
            assert claimed is not None
            assert claimed.study_id == other
            waiting = thread.submit(leases.claim, "w")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        late = waiting.result(timeout=20)
    assert late is not None
    assert late.study_id == in_use


def test_a_long_queue_does_not_fill_the_broker() -> None:
    """A pass hints at so many trials at most; whoever ends one is hinted at the next."""
    most = sweeper.TRIAL_WAKE_UPS_AT_ONCE
    for _ in range(2):
        stored_study(trials=most - 10, parallelism=most)
    forget_wake_ups()
    tasks = sent_by(sweeper.resend_wake_ups)
    assert (tasks.count(ADVANCE_STUDY), tasks.count(RUN_TRIAL)) == (2, most)


def test_the_sweeper_wakes_workers_for_final_seeds() -> None:
    """No trial is open any more, yet there is work; a wake-up that was lost is sent again."""
    stored_study(trials=1, parallelism=2, final_replicates=3)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    forget_wake_ups()
    assert sent_by(sweeper.resend_wake_ups) == [ADVANCE_STUDY, RUN_TRIAL, RUN_TRIAL]


def test_the_end_of_a_seed_wakes_a_worker_for_the_next() -> None:
    """Where parallelism had no room for it, its own wake-up was spent on nothing."""
    stored_study(trials=1, parallelism=1, replicates=2)
    claimed = leases.claim("w")
    assert claimed is not None
    assert leases.claim("idle") is None
    with Session(engine()) as session, session.begin():
        study, trial = leases.lock_study_and_trial(session, claimed.trial_id)
        lifecycle.finish_trial(session, study, trial, attempt=claimed.attempt, report=REPORT, max_attempts=3)
        # Its study worker has been woken since the study was created, and has not come yet.
        assert [wake_up.task for wake_up in session.info["wake_ups"]] == [RUN_TRIAL]


@pytest.mark.parametrize(("preset", "expected"), [("depth", True), ("lora", False)])
def test_trials_of_a_study_that_makes_its_backbone_smaller_are_timed_merged(
    preset: str, expected: bool
) -> None:
    """The whole network too, whose own configuration names no architecture."""
    stored_study(trials=1, search_space={"preset": preset})
    claimed = leases.claim("host:1")
    assert claimed is not None
    assert claimed.is_timed_merged is expected
