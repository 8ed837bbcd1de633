"""Wake the workers of a study: at most one wake-up waits for the study worker, none goes to wrong workers.

That a study is due stands in its row, so messages may be lost, late or doubled. Each function runs in the
caller's transaction under the study's row lock.
"""

from sqlalchemy import func
from sqlalchemy.orm import Session

from api_schemas.studies import StudyKind
from service.runtime.broker import ADVANCE_STUDY, RUN_TRIAL, WakeUp, wake_after_commit
from service.storage.models import Study


def wake_study_worker(session: Session, study: Study) -> None:
    """Make a study due for a turn, which will see every change until it begins."""
    if study.turn_due_at is None:
        study.turn_due_at = study.woken_at = func.clock_timestamp()
        if study.turn_holder is None:
            wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))


def wake_trial_worker(session: Session, study: Study, *, count: int = 1) -> None:
    """Wake trial workers for waiting trials; runners of a custom study ask on their own."""
    if study.kind != StudyKind.CUSTOM:
        for _ in range(count):
            wake_after_commit(session, WakeUp(RUN_TRIAL))
