"""Results from elsewhere: one that ends a trial that waits, and one that corrects a trial that has ended.

Each function runs in the caller's transaction under the study's row lock.
"""

from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType
from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialReport, TrialState
from service.errors import WrongState
from service.storage.audit_log import record_audit_event
from service.storage.event_log import record_replicate_event
from service.storage.models import Replicate, Study, Trial
from service.trials import beliefs, lifecycle, replication, study_lifecycle
from service.trials.front_history import settle_anew, store_front
from service.trials.reported_metrics import same_metrics
from service.trials.wake_ups import wake_study_worker


def accept_result(session: Session, study: Study, trial: Trial, *, report: TrialReport) -> None:
    """End a queued trial with a result that was found elsewhere; its further seeds are dropped."""
    replicates = trial.replicates
    first = next(replicate for replicate in replicates if replicate.state is TrialState.QUEUED)
    replication.end(session, study, first, report.state, reason=report.reason, report=report)
    replication.cancel_queued(session, study, replicates, reason="its trial is decided")
    replication.average(trial, replicates)
    lifecycle.end_trial(session, study, trial, report.state, reason=report.reason)
    if report.state is TrialState.SUCCEEDED:
        store_front(session, study, [trial])
    study_lifecycle.finish_if_done(session, study)
    wake_study_worker(session, study)


def correct(
    session: Session, study: Study, trial: Trial, replicate: Replicate, *, report: TrialReport
) -> None:
    """Replace the result of an ended seed; an equal one changes nothing.

    The event keeps the result before. The front is stored anew, and the optimiser proposes anew.

    Raises:
        WrongState: If the seed has not ended, or a worker of the service has measured it.
    """
    _check(replicate)
    if _has_result(replicate, report):
        return
    was_accepted = trial.state is TrialState.SUCCEEDED
    before = {
        "state": replicate.state,
        "reason": replicate.state_reason,
        "metrics": replicate.metrics,
        "test_metrics": replicate.test_metrics,
    }
    replicate.state, replicate.state_reason = report.state, f"corrected: {report.reason}"
    replicate.metrics, replicate.test_metrics = report.metrics, report.test_metrics
    replicates = trial.replicates
    if trial.state in TERMINAL_TRIAL_STATES:
        _decide(session, study, trial, replicates)
    session.flush()
    record_replicate_event(
        session,
        study,
        EventType.TRIAL_CORRECTED,
        replicate=replicate,
        state=replicate.state,
        trial_state=trial.state,
        reason=report.reason,
        metrics=replicate.metrics,
        test_metrics=replicate.test_metrics,
        before=before,
    )
    record_audit_event(
        session, study.tenant_id, AuditEventType.TRIAL_CORRECTED, subject=trial.id, reason=report.reason
    )
    if was_accepted or trial.state is TrialState.SUCCEEDED:
        settle_anew(session, study, trial)
        store_front(session, study, [trial])
    if trial.state not in TERMINAL_TRIAL_STATES:
        _follow(session, study, trial, replicates)
    _learn_anew(session, study)
    study_lifecycle.finish_if_done(session, study)
    wake_study_worker(session, study)


def _check(replicate: Replicate) -> None:
    if replicate.state not in TERMINAL_TRIAL_STATES:
        raise WrongState(f"The trial is {replicate.state}; it is corrected once it has ended.")
    if replicate.worker is not None and ":" in replicate.worker:
        raise WrongState(
            "A worker of the service measured this trial, and nobody told it. Clone the study without it, or "
            "run the configuration again with another seed."
        )


def _has_result(replicate: Replicate, report: TrialReport) -> bool:
    return (
        replicate.state is report.state
        and same_metrics(report.metrics, replicate.metrics)
        and same_metrics(report.test_metrics, replicate.test_metrics)
    )


def _decide(session: Session, study: Study, trial: Trial, replicates: Sequence[Replicate]) -> None:
    """Set the state and the means of an ended trial from the seeds that count: neither dropped nor open."""
    counted = [one for one in replicates if one.state in TERMINAL_TRIAL_STATES - {TrialState.CANCELLED}]
    deciding = replication.deciding(counted)
    trial.state, trial.state_reason = deciding.state, deciding.state_reason
    replication.average(trial, counted)
    if trial.state is TrialState.INFEASIBLE:
        replication.cancel_queued(session, study, replicates, reason="its trial is decided")


def _follow(session: Session, study: Study, trial: Trial, replicates: Sequence[Replicate]) -> None:
    """Drop the seeds of an open trial that wait if it is decided now; else dropped ones are wanted again."""
    if study.state is not StudyState.CANCELLING and not replication.decided(replicates):
        for dropped in replicates:
            if dropped.state is TrialState.CANCELLED:
                replication.want_again(session, study, dropped)
    lifecycle.follow_replicates(session, study, trial)


def _learn_anew(session: Session, study: Study) -> None:
    # Trials that were proposed from the wrong value are revised, and parameters are weighed again.
    waiting = (Trial.study_id == study.id) & (Trial.state == TrialState.QUEUED) & (Trial.attempt == 0)
    session.execute(update(Trial).where(waiting).values(known_results=0))
    beliefs.forget(session, study)
    if study.importance is not None:
        study.importance = {**study.importance, "observations": 0}
