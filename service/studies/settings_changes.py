"""Change the settings of a study that is there. Its states belong to `lifecycle` and `steering`."""

from collections.abc import Set
from typing import Any

from sqlalchemy.orm import Session

from api_schemas.errors import FieldError
from api_schemas.events import EventType
from api_schemas.studies import StudyKind, StudyState
from api_schemas.study_changes import StudyUpdate
from service.errors import InvalidStudy, WrongState
from service.storage import queries
from service.storage.event_log import record_event
from service.storage.models import Study
from service.studies import steering
from service.trials.wake_ups import wake_study_worker, wake_trial_worker

OF_ITS_OWNER = frozenset({"display_name", "notes", "tags"})
"""What its owner writes on a study: whatever its state, nothing is searched otherwise for it."""


def apply(session: Session, study: Study, update: StudyUpdate) -> Study:
    """Return a locked study the new values; values that it has already change nothing.

    Raises:
        InvalidStudy: If the budget would shrink, or trials be stopped early that are the caller's.
        WrongState: If the study will do nothing more that the values could change.
    """
    wanted = _wanted(study, update)
    changed = {name: value for name, value in wanted.items() if value != getattr(study, name)}
    added = 0 if update.budget is None else update.budget.trials - study.trial_budget
    _check(study, changed.keys(), added=added)
    if added:
        steering.extend(session, study, trials=added)
    if changed:
        for name, value in changed.items():
            setattr(study, name, value)
        record_event(session, study, EventType.STUDY_UPDATED, **changed)
    if changed.keys() - OF_ITS_OWNER:
        wake_study_worker(session, study)
        wake_trial_worker(session, study, count=queries.open_replicates(session, study.id).queued)
    return study


def _wanted(study: Study, update: StudyUpdate) -> dict[str, Any]:
    ahead = update.proposals
    values: dict[str, Any] = {
        "proposals": None if ahead is None else study.proposals | ahead.model_dump(),
        "display_name": update.display_name,
        "parallelism": update.parallelism,
        "early_stopping": update.early_stopping,
        "notes": update.notes,
        "tags": None if update.tags is None else list(update.tags),
    }
    return {name: value for name, value in values.items() if value is not None}


def _check(study: Study, changed: Set[str], *, added: int) -> None:
    if added < 0:
        detail = f"The budget is {study.trial_budget} trials; it can grow, not shrink."
        raise InvalidStudy(detail, errors=[FieldError(pointer="/budget/trials", detail=detail)])
    if "early_stopping" in changed and study.kind == StudyKind.CUSTOM:
        detail = (
            "Trials of a custom study are never stopped early: it has no learning curves of ours to judge."
        )
        raise InvalidStudy(detail, errors=[FieldError(pointer="/early_stopping", detail=detail)])
    if study.state in (StudyState.ACTIVE, StudyState.PAUSED):
        return
    if changed - OF_ITS_OWNER:
        raise WrongState(
            f"The study is {study.state}; only its name, notes, tags and, if it succeeded, its budget change."
        )
