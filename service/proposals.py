"""Between the database and the optimiser: build a problem from a study, queue what is suggested.

The optimiser runs with no lock and no open transaction; what it suggests is checked again under
the study's lock before it is queued, so two study workers proposing at once do no harm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Metric, Objective, OutcomeConstraint
from api_schemas.proposals import ProposalSettings
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.studies import StudyState
from api_schemas.trainable_parameters import trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from api_schemas.trials import TrialState
from service.models import Study, Trial
from service.optimization.problem import Observation, Problem, Suggestion
from service.studies import early_stops, lifecycle, repository
from service.studies.admission import starting_parameterization
from service.studies.configuration_keys import configuration_key

TEACHING_STATES = (TrialState.SUCCEEDED, TrialState.INFEASIBLE, TrialState.STOPPED_EARLY)
"""What the optimiser learns from; of a stopped trial, the score that was predicted for its end.

A FAILED trial says nothing about its configuration.
"""


@dataclass(frozen=True)
class ProposalRequest:
    """What to ask the optimiser, and for how many trials."""

    problem: Problem
    observations: tuple[Observation, ...]
    pending: tuple[Parameterization, ...]
    count: int
    seed: int


def read_request(session: Session, study_id: str) -> ProposalRequest | None:
    """Read what a study wants proposed now, or None if it wants nothing."""
    study = repository.lock_study(session, study_id)
    if study is None or study.state is not StudyState.ACTIVE:
        return None
    trials = repository.list_trials(session, study_id)
    count = _wanted(session, study, trials)
    if count <= 0:
        return None
    return ProposalRequest(
        problem=_problem(study),
        observations=tuple(_observation(trial) for trial in trials if trial.state in TEACHING_STATES),
        # FAILED and cancelled trials teach nothing, yet must not be proposed again.
        pending=tuple(trial.parameters for trial in trials if trial.state not in TEACHING_STATES),
        count=count,
        seed=study.seed,
    )


def store_suggestions(
    session: Session, study_id: str, suggestions: Sequence[Suggestion], *, asked: int, seconds: float
) -> None:
    """Queue suggestions that the study still wants; end a study whose space is exhausted."""
    study = repository.lock_study(session, study_id)
    if study is None or study.state is not StudyState.ACTIVE:
        return
    trials = repository.list_trials(session, study_id)
    used = {trial.configuration_key for trial in trials}
    wanted = _wanted(session, study, trials)
    base = TrialConfiguration.model_validate(study.configuration)
    for suggestion in suggestions:
        configuration = canonical(patch(base, suggestion.parameterization))
        key = configuration_key(configuration)
        if wanted > 0 and key not in used:
            lifecycle.add_trial(
                session,
                study,
                parameters=suggestion.parameterization,
                configuration=configuration.model_dump(mode="json"),
                configuration_key=key,
                generated_by=suggestion.generated_by,
                proposal_seconds=seconds / len(suggestions),
                explanation=None if suggestion.explanation is None else suggestion.explanation.model_dump(),
            )
            used.add(key)
            wanted -= 1
    if len(suggestions) < asked:
        lifecycle.exhaust(session, study)


def _wanted(session: Session, study: Study, trials: Sequence[Trial]) -> int:
    states = [trial.state for trial in trials]
    ended = [state for state in states if state not in (TrialState.QUEUED, TrialState.RUNNING)]
    if len(ended) >= lifecycle.FAILURES_BEFORE_GIVING_UP and set(ended) == {TrialState.FAILED}:
        return 0
    missing = study.parallelism + _settings(study).ahead - repository.open_replicates(session, study.id)
    return min(math.ceil(missing / study.replicates), study.trial_budget - study.trials_created)


def _settings(study: Study) -> ProposalSettings:
    return ProposalSettings.model_validate(study.proposals)


def _problem(study: Study) -> Problem:
    base = TrialConfiguration.model_validate(study.configuration)
    search_space = SearchSpace.model_validate(study.search_space)
    shape = BackboneShape.model_validate(study.backbone_shape)
    return Problem(
        search_space=search_space,
        objectives=tuple(Objective.model_validate(item) for item in study.objectives),
        constraints=tuple(OutcomeConstraint.model_validate(item) for item in study.constraints),
        known_metrics={
            Metric.TRAINABLE_PARAMETERS: partial(_count_all, base=base, shape=shape, classes=study.classes)
        },
        key=partial(_key, base=base),
        reference_point=None if study.reference_point is None else tuple(study.reference_point),
        starting_points=tuple(
            starting_parameterization(search_space, base, point) for point in study.starting_points
        ),
    )


def _count_all(
    parameterizations: Sequence[Parameterization],
    *,
    base: TrialConfiguration,
    shape: BackboneShape,
    classes: int,
) -> list[float]:
    return [
        float(trainable_parameters(canonical(patch(base, values)), shape=shape, classes=classes))
        for values in parameterizations
    ]


def _key(parameterization: Parameterization, *, base: TrialConfiguration) -> str:
    return configuration_key(patch(base, parameterization))


def _observation(trial: Trial) -> Observation:
    if trial.state is TrialState.STOPPED_EARLY:
        return Observation(parameterization=trial.parameters, metrics=early_stops.taught(trial))
    if trial.state is not TrialState.SUCCEEDED:
        return Observation(parameterization=trial.parameters, metrics=None)
    return Observation(
        parameterization=trial.parameters,
        metrics=trial.metrics,
        standard_errors=trial.metric_standard_errors or None,
    )
