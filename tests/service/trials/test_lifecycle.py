"""How a trial and its study end, against a real database: what may follow what."""

import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate, StudyState
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.errors import StaleAttempt, WrongState
from service.storage import queries
from service.storage.models import Event, Replicate, StoredFront, Study, Tenant, Trial
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.trials import lifecycle
from tests.conftest import make_study_request

MAX_ATTEMPTS = 3
OBJECTIVES = list(make_study_request().objectives)
COSTS = {"latency_ms": 1.0, "peak_memory_bytes": 1.0, "training_seconds": 1.0}


def succeeded(score: float = 0.7, parameters: float = 1000.0) -> TrialReport:
    return TrialReport(
        state=TrialState.SUCCEEDED, metrics={"score": score, "trainable_parameters": parameters, **COSTS}
    )


def create(session: Session, request: StudyCreate) -> Study:
    tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
    return create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)


def queue(session: Session, study: Study) -> Trial:
    return lifecycle.add_trial(
        session,
        study,
        parameters={},
        configuration=study.configuration,
        configuration_key=uuid.uuid4().hex,
        generated_by="test",
        proposal_seconds=0.0,
    )


def start(session: Session, study: Study, trial: Trial) -> Trial:
    lifecycle.start_trial(session, study, trial, worker="w", lease_seconds=60)
    return trial


def lose(session: Session, study: Study, trial: Trial) -> None:
    lifecycle.lose_trial(session, study, trial, attempt=trial.attempt, max_attempts=MAX_ATTEMPTS)


def replicates_of(session: Session, trial: Trial) -> list[Replicate]:
    return queries.replicates_of(session, [trial.id])[trial.id]


def finish(
    session: Session, study: Study, trial: Trial, report: TrialReport, *, attempt: int | None = None
) -> None:
    lifecycle.finish_trial(
        session, study, trial, attempt=attempt or trial.attempt, report=report, max_attempts=MAX_ATTEMPTS
    )


def test_a_stale_attempt_writes_nothing(session: Session, study_request: Callable[..., StudyCreate]) -> None:
    """After the lease was lost and another attempt began, the first one's result is refused."""
    study = create(session, study_request())
    trial = start(session, study, queue(session, study))
    lose(session, study, trial)
    start(session, study, trial)
    with pytest.raises(StaleAttempt, match="Attempt 1"):
        lifecycle.finish_trial(
            session, study, trial, attempt=1, report=succeeded(), max_attempts=MAX_ATTEMPTS
        )
    with pytest.raises(StaleAttempt):
        lifecycle.record_measurement(
            session, study, trial, attempt=1, measurement=Measurement(step=1, metrics={"score": 0.1})
        )
    assert trial.state is TrialState.RUNNING
    assert trial.metrics == {}


def test_a_result_reported_twice_counts_once(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """A worker that repeats a commit whose answer was lost changes nothing."""
    study = create(session, study_request())
    trial = start(session, study, queue(session, study))
    finish(session, study, trial, succeeded())
    finish(session, study, trial, succeeded(score=0.9))
    assert trial.metrics["score"] == 0.7
    assert study.front_sequence == 1


def test_a_result_without_its_objective_is_ours_to_retry(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """Missing metrics are a fault of the worker, not of the configuration."""
    study = create(session, study_request())
    trial = start(session, study, queue(session, study))
    finish(session, study, trial, TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7}))
    assert trial.state is TrialState.QUEUED
    assert trial.state_reason is not None
    assert "trainable_parameters" in trial.state_reason


def test_a_trial_that_keeps_losing_its_worker_fails(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """A poison trial ends after its last attempt, so the queue keeps moving."""
    study = create(session, study_request())
    trial = queue(session, study)
    for _ in range(MAX_ATTEMPTS):
        lose(session, study, start(session, study, trial))
    assert trial.state is TrialState.FAILED
    assert trial.state_reason == "lost its worker 3 times"


def test_a_stopped_worker_costs_no_attempt(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """Deployments may restart workers any number of times."""
    study = create(session, study_request())
    trial = queue(session, study)
    for attempt in range(1, 3 * MAX_ATTEMPTS):
        lifecycle.release_trial(session, study, start(session, study, trial), attempt=attempt)
    assert trial.state is TrialState.QUEUED
    assert replicates_of(session, trial)[0].lost_attempts == 0


def test_a_study_whose_first_trials_all_fail_ends(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """A broken set-up does not burn the whole budget."""
    study = create(session, study_request(budget={"trials": 100}))
    trials = [queue(session, study) for _ in range(3)]
    for trial in trials:
        replicates_of(session, trial)[0].lost_attempts = MAX_ATTEMPTS
        finish(session, study, start(session, study, trial), TrialReport(state=TrialState.FAILED, reason="x"))
    assert study.state is StudyState.FAILED
    assert study.state_reason is not None


def test_a_cancelled_study_waits_for_its_running_trial(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """Queued trials are dropped at once; the study is CANCELLED when the last one is given back."""
    study = create(session, study_request())
    running, queued = start(session, study, queue(session, study)), queue(session, study)
    steering.cancel(session, study)
    assert (study.state, queued.state) == (StudyState.CANCELLING, TrialState.CANCELLED)
    assert lifecycle.extend_lease(session, study, running.id, attempt=1, lease_seconds=60)
    lifecycle.release_trial(session, study, running, attempt=1)
    assert (study.state, running.state) == (StudyState.CANCELLED, TrialState.CANCELLED)


def test_pausing_and_cancelling_twice_change_nothing(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """The verbs are idempotent."""
    study = create(session, study_request())
    steering.pause(session, steering.pause(session, study))
    steering.cancel(session, steering.cancel(session, study))
    events = session.scalars(select(Event.type).order_by(Event.sequence)).all()
    assert events == ["study.created", "study.paused", "study.cancelling", "study.cancelled"]


def test_a_finished_study_cannot_be_paused(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """The error says in which state the study is."""
    study = create(session, study_request(budget={"trials": 1}))
    finish(session, study, start(session, study, queue(session, study)), succeeded())
    assert study.state is StudyState.SUCCEEDED
    with pytest.raises(WrongState, match="SUCCEEDED"):
        steering.pause(session, study)


def test_infeasible_trials_are_not_on_the_front(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """A constraint keeps a dominating trial off the front."""
    limit = {"metric": "latency_ms", "op": "<=", "bound": 0.5}
    study = create(session, study_request(constraints=[limit]))
    finish(session, study, start(session, study, queue(session, study)), succeeded())
    front = session.scalars(select(StoredFront)).one()
    assert front.member_trial_ids == []
    assert front.hypervolume == 0.0
