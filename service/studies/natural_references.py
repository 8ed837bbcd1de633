"""The reference of an objective that follows from the study: chance, and the largest that is searched."""

from itertools import product

from api_schemas.backbones import BackboneShape
from api_schemas.exact_metrics import exact_metrics
from api_schemas.objectives import KNOWN_METRICS, Direction, Metric, Objective
from api_schemas.search_space import SearchSpace, extremes_of
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.catalogue.tasks.facts import TaskFacts
from service.studies.method_checks import METHOD


def natural_reference(
    objective: Objective,
    configuration: TrialConfiguration,
    search_space: SearchSpace,
    *,
    shape: BackboneShape,
    facts: TaskFacts,
) -> float | None:
    """Return what a result must beat to count, or None where only results can tell."""
    if objective.metric == Metric.SCORE and objective.direction is Direction.MAXIMIZE:
        return facts.chance_score(configuration.task.resolved_score)
    if objective.metric in KNOWN_METRICS and objective.direction is Direction.MINIMIZE:
        # A configuration at the largest size still counts.
        largest = _largest(objective.metric, configuration, search_space, shape=shape, facts=facts)
        return max(1.0, 1.1 * largest)
    return None


def _largest(
    metric: str,
    configuration: TrialConfiguration,
    search_space: SearchSpace,
    *,
    shape: BackboneShape,
    facts: TaskFacts,
) -> float:
    extremes = {parameter.name: extremes_of(parameter) for parameter in search_space.parameters}
    largest = {name: values[-1] for name, values in extremes.items()}
    # Methods have no order, and a longer block means more scalars in one and fewer in another.
    unordered = {name: extremes[name] for name in (METHOD, "peft.library.block_size") if name in extremes}
    corners = (dict(zip(unordered, corner, strict=True)) for corner in product(*unordered.values()))
    return max(
        exact_metrics(canonical(patch(configuration, largest | corner)), shape=shape, classes=facts.classes)[
            metric
        ]
        for corner in corners
    )
