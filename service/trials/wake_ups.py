"""Let workers look at a study: at most one wake-up waits for its study worker, none goes to the wrong one.

That a study is due stands in its row, so messages may be lost, late or doubled. Each function runs in the
caller's transaction under the study's row lock.
"""

from sqlalchemy import func
from sqlalchemy.orm import Session

from api_schemas.studies import StudyKind
from service.runtime.broker import ADVANCE_STUDY, RUN_TRIAL, WakeUp, wake_after_commit
from service.storage.models import Study


def wake_study_worker(session: Session, study: Study) -> None:
    """Let a study be due; whatever happens to it until its turn begins is seen by then."""
    if study.turn_due_at is None:
        study.turn_due_at = study.woken_at = func.clock_timestamp()
        if study.turn_holder is None:
            wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))


def wake_trial_worker(session: Session, study: Study, *, count: int = 1) -> None:
    """Hint at trials that wait. Whoever runs those of a custom study asks for them."""
    if study.kind != StudyKind.CUSTOM:
        for _ in range(count):
            wake_after_commit(session, WakeUp(RUN_TRIAL))
