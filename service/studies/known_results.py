"""Results from elsewhere: one that ends a trial that waits, and one that corrects a trial that has ended.

Each function runs in the caller's transaction under the study's row lock.
"""

from sqlalchemy.orm import Session

from api_schemas.trials import TrialReport, TrialState
from service.models import Study, Trial
from service.studies import lifecycle, replication, repository
from service.studies.front_history import store_front
from service.studies.wake_ups import wake_study_worker


def accept_result(session: Session, study: Study, trial: Trial, *, report: TrialReport) -> None:
    """End a queued trial with a result that was found elsewhere; its further seeds are dropped."""
    replicates = repository.replicates_of(session, [trial.id])[trial.id]
    first = next(replicate for replicate in replicates if replicate.state is TrialState.QUEUED)
    replication.end(session, study, first, report.state, reason=report.reason, report=report)
    replication.cancel_queued(session, study, replicates, reason="its trial is decided")
    replication.average(trial, replicates)
    lifecycle.end_trial(session, study, trial, report.state, reason=report.reason)
    if report.state is TrialState.SUCCEEDED:
        store_front(session, study, [trial])
    lifecycle.finish_if_done(session, study)
    wake_study_worker(session, study)
