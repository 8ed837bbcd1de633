"""Claims, heartbeats and results under contention, on a real Postgres."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate, StudyState
from api_schemas.trials import Measurement, TrialReport, TrialState
from service import leases, sweeper
from service.database import transaction
from service.errors import StaleAttempt
from service.models import Study, Tenant, Trial, TrialMeasurement
from service.studies import lifecycle
from service.studies.admission import admit
from service.studies.endpoints import new_study
from tests.conftest import make_study_request

pytestmark = pytest.mark.usefixtures("service_environment")

REPORT = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})


def stored_study(*, trials: int, parallelism: int = 1, budget: int | None = None) -> str:
    request: StudyCreate = make_study_request(budget={"trials": budget or trials}, parallelism=parallelism)
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        study = lifecycle.create_study(session, new_study(tenant_id, admit(request, tenant_id=tenant_id)))
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


def expire_all_leases() -> None:
    with transaction() as session:
        session.execute(
            update(Trial)
            .where(Trial.state == TrialState.RUNNING)
            .values(lease_expires_at=func.now() - func.make_interval(0, 0, 0, 0, 1))
        )


def test_nothing_is_claimed_where_nothing_waits() -> None:
    """A wake-up without work is harmless."""
    assert leases.claim("w") is None


def test_a_paused_study_hands_out_nothing() -> None:
    """Its queued trials wait until it is resumed."""
    study_id = stored_study(trials=1)
    set_state(study_id, lifecycle.pause)
    assert leases.claim("w") is None
    set_state(study_id, lifecycle.resume)
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
    set_state(study_id, lifecycle.cancel)
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
    trial = session.scalars(select(Trial)).one()
    assert (trial.state, trial.lost_attempts) == (TrialState.QUEUED, 1)


def test_the_last_result_ends_the_study(session: Session) -> None:
    """A study that has spent its budget is SUCCEEDED in the same transaction."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    assert session.get_one(Study, study_id).state is StudyState.SUCCEEDED
