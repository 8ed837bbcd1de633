"""Between the database and the optimiser: what models believe of the front, stored beside the observed one.

It costs the fit of a model, so a study that is due for another turn has it only after a tenth more results.
It reads and writes in separate transactions and holds no lock in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.objectives import Metric
from api_schemas.trials import TrialState
from service.optimization.problem import Beliefs, Compared, Observation, Problem
from service.settings import settings
from service.storage import queries, typed_study
from service.storage.models import Study, Trial
from service.studies.reference_trials import default_trial
from service.suggestions.former_studies import sources_of
from service.suggestions.study_suggestions import read_observations
from service.trials import beliefs, pareto_front
from service.trials.beliefs import Belief, BelievedTrials

GROWTH_IN_HASTE = 1.1
"""Growth of the number of results from which a study that is due for a turn is modelled again."""


@dataclass(frozen=True)
class BeliefRequest:
    """What to model, after `sequence` accepted results; `trial_ids` are of those that succeeded, by key."""

    problem: Problem
    observations: tuple[Observation, ...]
    trial_ids: Mapping[str, str]
    compared_with: Compared | None
    sequence: int
    seed: int


def read_belief_request(session: Session, study_id: str) -> BeliefRequest | None:
    """Return what to model, or None if nothing is noisy or new.

    A study whose models have killed the worker too often is not modelled any more.
    """
    study = session.get(Study, study_id)
    if study is None or study.believing_attempts >= settings().max_attempts or not beliefs.is_noisy(study):
        return None
    known = beliefs.known_sequence(session, study)
    growth = 1.0 if study.turn_due_at is None else GROWTH_IN_HASTE
    if study.front_sequence <= known or study.front_sequence < growth * known:
        return None
    problem, observations = read_observations(session, study, sources=sources_of(session, study))
    keys = _keys_of_succeeded(session, study)
    default = default_trial(session, study)
    return BeliefRequest(
        problem=problem,
        observations=observations,
        trial_ids={key: trial_id for trial_id, key in keys.items()},
        compared_with=Compared(keys[default], Metric.SCORE) if default in keys else None,
        sequence=study.front_sequence,
        seed=study.seed,
    )


def store_beliefs(session: Session, study_id: str, found: Beliefs | None, *, request: BeliefRequest) -> None:
    """Store what is believed, if there was a model, beside the study's front."""
    study = queries.lock_study(session, study_id)
    if study is None:
        return
    study.believing_attempts = 0
    if found is None:
        return
    ids = [request.trial_ids[str(key)] for key in found.keys]
    compared = request.compared_with
    trials = BelievedTrials(
        ids=ids,
        means=found.means,
        deviations=found.deviations,
        front_probabilities=found.front_probabilities,
        default_trial_id=None if compared is None else request.trial_ids[str(compared.key)],
        lead_deviations=found.difference_deviations,
        noise=found.noise,
    )
    members = [ids[row] for row in found.members]
    volume = _hypervolume(session, study, trials, members)
    beliefs.record_belief(session, study, Belief(request.sequence, members, volume, trials))


def _keys_of_succeeded(session: Session, study: Study) -> dict[str, str]:
    query = select(Trial.id, Trial.configuration_key).where(
        Trial.study_id == study.id, Trial.state == TrialState.SUCCEEDED
    )
    return dict(session.execute(query).all())


def _hypervolume(session: Session, study: Study, trials: BelievedTrials, members: list[str]) -> float | None:
    """Return the volume up to the reference point that the members' believed metrics dominate."""
    if study.reference_point is None:
        return None
    believed = [trials.metrics_of(trial) for trial in queries.trials_by_id(session, members)]
    return pareto_front.hypervolume(
        typed_study.objectives(study), believed, reference_point=study.reference_point
    )
