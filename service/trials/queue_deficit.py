"""How many trials the queue of a study lacks. Reads; changes nothing."""

import math
from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.storage import queries, typed_study
from service.storage.models import Study
from service.trials import race_budget
from service.trials.study_lifecycle import FAILURES_BEFORE_GIVING_UP


def replicate_deficit(session: Session, study: Study, *, taken_soon: int = 0) -> int:
    """Count the replicates that the queue lacks; negative if it has more than enough.

    `taken_soon` replicates will be taken before new ones are stored; ignored if nothing is queued ahead.
    """
    waiting = queries.open_replicates(session, study.id)
    ahead = typed_study.proposals(study).ahead
    return study.parallelism + (max(ahead, taken_soon) if ahead else 0) - waiting.queued - waiting.running


def trial_deficit(session: Session, study: Study, *, ended: Sequence[TrialState], taken_soon: int = 0) -> int:
    """Count the trials to propose now, within the budget; `ended` are the states of those that have ended."""
    if len(ended) >= FAILURES_BEFORE_GIVING_UP and set(ended) == {TrialState.FAILED}:
        return 0
    deficit = math.ceil(replicate_deficit(session, study, taken_soon=taken_soon) / study.replicates)
    return max(0, min(deficit, race_budget.left_for_search(study)))
