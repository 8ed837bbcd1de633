"""How many trials the queue of a study lacks. Reads, and changes nothing."""

import math
from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.proposals import ProposalSettings
from api_schemas.trials import TrialState
from service.models import Study
from service.studies import repository
from service.studies.lifecycle import FAILURES_BEFORE_GIVING_UP


def proposal_settings(study: Study) -> ProposalSettings:
    """Read how a study's configurations are proposed."""
    return ProposalSettings.model_validate(study.proposals)


def replicates_lacking(session: Session, study: Study) -> int:
    """Count the replicates that the queue lacks; negative where it has more than enough."""
    waiting = sum(repository.open_replicates(session, study.id))
    return study.parallelism + proposal_settings(study).ahead - waiting


def trials_lacking(session: Session, study: Study, *, ended: Sequence[TrialState]) -> int:
    """Count the trials to propose now, within the budget; `ended` are the states of those that have ended."""
    if len(ended) >= FAILURES_BEFORE_GIVING_UP and set(ended) == {TrialState.FAILED}:
        return 0
    room = math.ceil(replicates_lacking(session, study) / study.replicates)
    return max(0, min(room, study.trial_budget - study.trials_created))
