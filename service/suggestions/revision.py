"""Revise a queued trial: its configuration changes, the trial and its state do not.

Runs under the study's row lock, which a worker needs for a claim: a trial is revised before it is claimed
or not at all. It keeps its id, number, seeds and place in the budget.
"""

from typing import Any

from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.trials import TrialState
from service.errors import WrongState
from service.storage import queries
from service.storage.event_log import record_event
from service.storage.models import Study, Trial

ASKED_FOR = frozenset({"starting_point", "initial_design", "random", "sobol"})
"""Rules that no result outdates: the user's own points, and what was spread or drawn."""

UNMODELLED = ASKED_FOR | {"fallback_random", "time_limit"}
"""Rules that ignore the results: their suggestions replace no queued trial."""


def is_outdated(trial: Trial, *, known_results: int) -> bool:
    """Return whether a trial is unclaimed and more results are known than when it was suggested."""
    return (
        trial.state is TrialState.QUEUED
        and trial.attempt == 0
        and trial.generated_by not in ASKED_FOR
        and trial.known_results < known_results
    )


def revise_trial(session: Session, study: Study, trial: Trial, **columns: Any) -> None:
    """Give an unclaimed trial the columns of another suggestion: those that `add_trial` sets.

    Raises:
        WrongState: If a worker has had the trial.
    """
    trial = queries.get_trial(session, study.id, trial.id, lock=True)
    if trial.state is not TrialState.QUEUED or trial.attempt:
        raise WrongState(f"Trial '{trial.id}' has been begun; it trains what it was proposed for.")
    withdrawn = trial.parameters
    for column, value in columns.items():
        setattr(trial, column, value)
    session.flush()
    record_event(session, study, EventType.TRIAL_REVISED, trial=trial, withdrawn=withdrawn)
