"""The logs of a trial's attempts as a client reads them. Reads; changes nothing."""

from sqlalchemy.orm import Session

from api_schemas.trial_logs import AttemptLogRead, TrialLogs
from service.storage.models import Trial
from service.trials.attempt_logs import logs_of


def trial_logs(session: Session, trial: Trial) -> TrialLogs:
    """Return the last lines of each attempt of a trial that has sent any."""
    logs = [AttemptLogRead.copied_from(row, text=row.lines) for row in logs_of(session, trial.id)]
    return TrialLogs.copied_from(trial, trial_id=trial.id, logs=logs)
