"""What the owner of a study does with it: pause, resume, extend, cancel.

Each function runs in the caller's transaction under the study's row lock, and moves the state machines of
`lifecycle`. A study begins in `creation`, changes its settings in `settings_changes`, and goes in `deletion`.
"""

from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType
from api_schemas.errors import FieldError
from api_schemas.events import EventType
from api_schemas.studies import MOST_TRIALS, StudyState
from api_schemas.trials import TrialState
from service.access import limits
from service.errors import InvalidStudy, WrongState
from service.storage import queries
from service.storage.audit_log import record_audit_event
from service.storage.event_log import record_event
from service.storage.models import Study
from service.studies.task_file_changes import refuse_if_changed
from service.trials import lifecycle, race_budget, replication, study_lifecycle
from service.trials.wake_ups import wake_study_worker, wake_trial_worker


def pause(session: Session, study: Study) -> Study:
    """Start nothing more until resumed; pausing a paused study changes nothing."""
    if study.state is not StudyState.PAUSED:
        study_lifecycle.move_study(session, study, StudyState.PAUSED, EventType.STUDY_PAUSED)
    return study


def resume(session: Session, study: Study) -> Study:
    """Go on; resuming an active study changes nothing.

    Raises:
        TaskFileChanged: If it trains on a file that is not what it was.
        WrongState: If it has ended.
    """
    if study.state is StudyState.SUCCEEDED:
        raise WrongState("The study is SUCCEEDED: its budget is spent. Extend it to go on.")
    if study.state is StudyState.PAUSED:
        refuse_if_changed(study)
    if study.state is not StudyState.ACTIVE:
        study.state_reason = None
        # Fresh tries for one that the study worker had failed on.
        study.turn_attempts = study.weighing_attempts = study.believing_attempts = 0
        study_lifecycle.move_study(session, study, StudyState.ACTIVE, EventType.STUDY_RESUMED)
        wake_study_worker(session, study)
        wake_trial_worker(session, study, count=queries.open_replicates(session, study.id).queued)
    return study


def extend(session: Session, study: Study, *, trials: int) -> Study:
    """Add trials to the budget; a study that has succeeded becomes active again.

    One that races searches on, and races anew once the search has had its part of the new budget.

    Raises:
        InvalidStudy: If the budget would grow beyond reason.
        LimitReached: If it would become active again, and its tenant may have no further active study.
        TaskFileChanged: If it trains on a file that is not what it was.
        WrongState: If the study was cancelled or has failed.
    """
    if study.state in (StudyState.CANCELLING, StudyState.CANCELLED, StudyState.FAILED):
        raise WrongState(f"The study is {study.state}; clone it to search on from where it stands.")
    if study.trial_budget + trials > MOST_TRIALS:
        detail = f"The budget is {study.trial_budget} trials; it cannot grow beyond {MOST_TRIALS:,}."
        raise InvalidStudy(detail, errors=[FieldError(pointer="/trials", detail=detail)])
    if study.state is StudyState.SUCCEEDED:
        limits.check_new_study(session, study.tenant_id)
    # Under the tenant's lock, without which no file of its is replaced or deleted.
    refuse_if_changed(study)
    study.trial_budget += trials
    race_budget.search_on(study)
    record_event(session, study, EventType.STUDY_EXTENDED, trials=trials, budget=study.trial_budget)
    if study.state is StudyState.SUCCEEDED:
        study.state_reason = study.finished_at = None
        study_lifecycle.move_study(session, study, StudyState.ACTIVE, EventType.STUDY_RESUMED)
    wake_study_worker(session, study)
    return study


def cancel(session: Session, study: Study) -> Study:
    """Drop what is queued, stop what runs at its next heartbeat; cancelling twice changes nothing."""
    if study.state in (StudyState.CANCELLING, StudyState.CANCELLED):
        return study
    study_lifecycle.move_study(session, study, StudyState.CANCELLING, EventType.STUDY_CANCELLING)
    record_audit_event(session, study.tenant_id, AuditEventType.STUDY_CANCELLED, subject=study.id)
    queued = queries.replicates_in(session, study.id, [TrialState.QUEUED])
    replication.cancel_queued(session, study, queued, reason=lifecycle.CANCELLED_WITH_STUDY)
    for trial in queries.trials_in(session, study.id, [TrialState.QUEUED, TrialState.RUNNING]):
        lifecycle.follow_replicates(session, study, trial)
    study_lifecycle.finish_if_done(session, study)
    return study
