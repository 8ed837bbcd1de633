"""Recorded trials of public tasks as former studies, for a study of `auto` that has none of its own.

The optimiser weighs them as it weighs former studies, by how well they rank the study's own results; those
that rank no better than chance weigh nothing.
"""

from functools import lru_cache

from api_schemas.backbones import BackboneShape
from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.objectives import Direction, Metric
from api_schemas.search_space import SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.optimization.problem import Observation, Source
from service.storage import typed_study
from service.storage.models import Study
from service.studies.recorded_trials import recorded_trials
from service.studies.starting_points import recipe_point

SPACES = 16
"""Spaces whose recorded trials are kept: placing hundreds of them takes longer than a suggestion."""


def recorded_sources(study: Study) -> tuple[Source, ...]:
    """Return a source for each recorded task; none for a study that does not start with the portfolio."""
    shape = typed_study.backbone_shape(study)
    wants_score = any(
        one.metric == Metric.SCORE and one.direction is Direction.MAXIMIZE
        for one in typed_study.objectives(study)
    )
    if shape is None or not wants_score or not typed_study.proposals(study).default_starting_points:
        return ()
    space, configuration = typed_study.search_space(study), typed_study.configuration(study)
    if configuration is None or LEARNING_RATE_FACTOR not in space.by_name:
        return ()
    documents = (one.model_dump_json(by_alias=True) for one in (space, configuration, shape))
    return _placed(*documents)


@lru_cache(maxsize=SPACES)
def _placed(space_document: str, configuration_document: str, shape_document: str) -> tuple[Source, ...]:
    space = SearchSpace.model_validate_json(space_document)
    configuration = TrialConfiguration.model_validate_json(configuration_document)
    shape = BackboneShape.model_validate_json(shape_document)
    by_task: dict[str, list[Observation]] = {}
    for trial in recorded_trials(shape):
        point = recipe_point(trial.member, space, configuration, shape=shape)
        if point is not None:
            for task, score in trial.scores.items():
                by_task.setdefault(task, []).append(Observation(point, {Metric.SCORE: score}))
    return tuple(Source(f"recorded: {task}", tuple(found)) for task, found in by_task.items())
