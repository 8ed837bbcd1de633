"""Between the database and the optimiser: which parameters of a study matter, and how the models see them.

Weighing costs the fit of a model, so it is repeated only after a tenth more results, or when the study has
ended; not whenever fast runners have emptied the queue. It reads and writes in separate transactions and
holds no lock in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api_schemas.importance import Importance, ObjectiveImportance
from api_schemas.slices import Slice
from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from service.optimization.problem import Observation, Problem
from service.settings import settings
from service.storage import queries, typed_study
from service.storage.models import Study
from service.suggestions.study_suggestions import read_observations
from service.trials import study_lifecycle
from service.trials.slices import record_slices

GROWTH = 1.1
"""Growth of the number of results that triggers weighing."""

GROWTH_IN_HASTE = 2.0
"""The same for a study that is due for a turn: with fast runners it needs trials first."""


@dataclass(frozen=True)
class ImportanceRequest:
    """What to weigh; `earlier` has the results for exact objectives, which stay true."""

    problem: Problem
    observations: tuple[Observation, ...]
    earlier: tuple[ObjectiveImportance, ...]
    seed: int


def read_importance_request(session: Session, study_id: str) -> ImportanceRequest | None:
    """Return what to weigh, or None if it is not worth the time."""
    study = session.get(Study, study_id)
    # A study whose weighing killed the worker too often is not weighed any more.
    if study is None or study.weighing_attempts >= settings().max_attempts:
        return None
    kept = typed_study.importance(study) or Importance()
    count = queries.count_in(session, study_id, (TrialState.SUCCEEDED, TrialState.STOPPED_EARLY))
    growth = GROWTH if study.turn_due_at is None else GROWTH_IN_HASTE
    over = study.state is not StudyState.ACTIVE and not any(queries.open_replicates(session, study_id))
    grown = over or count >= growth * kept.observations
    if count == kept.observations or not grown:
        return None
    problem, observations = read_observations(session, study)
    return ImportanceRequest(
        problem=problem,
        observations=observations,
        earlier=tuple(item for item in kept.objectives if item.metric in problem.exact_metrics),
        seed=study.seed,
    )


def store_weighing(
    session: Session, study_id: str, importance: Importance, slices: Sequence[Slice] = ()
) -> None:
    """Store the importance with the study, and beside it the slices of the models that it rests on."""
    study = queries.lock_study(session, study_id)
    if study is None:
        return
    study.weighing_attempts = 0
    if study_lifecycle.record_importance(session, study, importance):
        record_slices(session, study, slices, observations=importance.observations)
