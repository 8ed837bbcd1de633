"""Every state change of studies that does not come from their owner (`service.studies.steering`).

Each function runs in the caller's transaction and holds the study's row lock. The machine:

    ACTIVE <-> PAUSED, both -> CANCELLING -> CANCELLED, ACTIVE | PAUSED -> SUCCEEDED | FAILED;
    SUCCEEDED -> ACTIVE again when its budget is extended
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import func
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.importance import Importance
from api_schemas.search_space import Parameterization
from api_schemas.studies import TERMINAL_STUDY_STATES, StudyState
from service.errors import WrongState
from service.storage import counters, queries
from service.storage.event_log import record_event
from service.storage.models import Study
from service.trials import race_budget, replication
from service.trials.wake_ups import wake_study_worker

EXHAUSTED = "every configuration of the search space has been tried"
FAILURES_BEFORE_GIVING_UP = 3
"""A study whose first trials all fail this many times ends as FAILED instead of burning its budget."""

STUDY_TRANSITIONS: Mapping[StudyState, frozenset[StudyState]] = {
    StudyState.ACTIVE: frozenset(StudyState) - {StudyState.ACTIVE, StudyState.CANCELLED},
    StudyState.PAUSED: frozenset(StudyState) - {StudyState.PAUSED, StudyState.CANCELLED},
    StudyState.CANCELLING: frozenset({StudyState.CANCELLED}),
    StudyState.SUCCEEDED: frozenset({StudyState.ACTIVE}),
    StudyState.FAILED: frozenset(),
    StudyState.CANCELLED: frozenset(),
}


def move_study(session: Session, study: Study, to: StudyState, event: EventType) -> None:
    """Bring a study into another state.

    Raises:
        WrongState: If its state does not allow that.
    """
    if to not in STUDY_TRANSITIONS[study.state]:
        further = "" if STUDY_TRANSITIONS[study.state] else " Clone it to search on from where it stands."
        raise WrongState(f"The study is {study.state}; from there it cannot become {to}.{further}")
    study.state = to
    if to in TERMINAL_STUDY_STATES:
        study.finished_at = func.clock_timestamp()
    if to in (StudyState.FAILED, StudyState.CANCELLED):
        study.turn_due_at = None
    session.flush()
    record_event(session, study, event, reason=study.state_reason)


def finish_if_done(session: Session, study: Study) -> None:
    """End a study that has nothing left to do, or nothing that could work."""
    if study.state is StudyState.CANCELLING:
        if not any(queries.open_replicates(session, study.id)):
            move_study(session, study, StudyState.CANCELLED, EventType.STUDY_CANCELLED)
    elif study.state in (StudyState.ACTIVE, StudyState.PAUSED) and not queries.has_open_trials(
        session, study.id
    ):
        counts = queries.count_trials(session, [study.id])[study.id]
        if counts.failed == counts.ended >= min(FAILURES_BEFORE_GIVING_UP, study.trial_budget):
            study.state_reason = f"all of the first {counts.ended} trials failed; see their reasons"
            move_study(session, study, StudyState.FAILED, EventType.STUDY_FAILED)
        elif race_budget.is_spent(study):
            _finish_search(session, study, reason=None)


def exhaust(session: Session, study: Study, *, reason: str = EXHAUSTED) -> None:
    """End a study for which nothing new is found, once its last open trial and final seed have ended.

    One that keeps trainings for a race races first.
    """
    if queries.has_open_trials(session, study.id):
        return
    if race_budget.is_pending(study):
        race_budget.end_search(study, reason=reason)
        record_event(session, study, EventType.SEARCH_ENDED, reason=reason)
        wake_study_worker(session, study)
    else:
        _finish_search(session, study, reason=reason)


def end_race(session: Session, study: Study, *, reason: str | None) -> None:
    """End a study whose race is over, once its last final seed has ended."""
    race_budget.record(study, race_budget.progress(study).model_copy(update={"is_over": True}))
    record_event(session, study, EventType.RACE_ENDED, reason=reason)
    _finish_search(session, study, reason=reason)


def park(session: Session, study: Study, *, reason: str) -> None:
    """Pause a study on which the study worker failed several times, so that others get their turns."""
    study.state_reason = reason
    counters.count(session, counters.CounterName.PARKED_STUDIES)
    move_study(session, study, StudyState.PAUSED, EventType.STUDY_PAUSED)


def record_importance(session: Session, study: Study, importance: Importance) -> bool:
    """Store the importance of parameters, unless it is known from more results already; say whether it is."""
    if study.importance is not None and study.importance["observations"] > importance.observations:
        return False
    study.importance = importance.model_dump(mode="json")
    record_event(session, study, EventType.IMPORTANCE_STORED, observations=importance.observations)
    return True


def add_starting_points(
    session: Session, study: Study, points: Sequence[Parameterization], *, place: int
) -> None:
    """Put starting points at a place among those of a study, which gets its turn for them."""
    own = study.starting_points
    study.starting_points = [*own[:place], *points, *own[place:]]
    wake_study_worker(session, study)


def give_budget_back(session: Session, study: Study, *, trainings: int) -> None:
    """Let trials have what was kept of the budget for something else."""
    study.trials_created -= trainings
    wake_study_worker(session, study)


def _finish_search(session: Session, study: Study, *, reason: str | None) -> None:
    replication.follow_front(session, study)
    if not any(queries.open_replicates(session, study.id)):
        study.state_reason = reason
        move_study(session, study, StudyState.SUCCEEDED, EventType.STUDY_SUCCEEDED)
