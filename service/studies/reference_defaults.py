"""The reference of each objective where its owner gives none and the study itself says one."""

from itertools import product

from api_schemas.exact_metrics import exact_metrics
from api_schemas.objectives import KNOWN_METRICS, ConstraintOp, Direction, Metric, Objective
from api_schemas.peft.methods_preset import METHOD
from api_schemas.search_space import extremes_of
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import canonical, patch
from service.studies.study_draft import StudyDraft


def reference_defaults(draft: StudyDraft) -> tuple[float | None, ...]:
    """Return what a result must beat to count: chance, or the largest that is searched; None if unknown."""
    return tuple(_natural_reference(objective, draft) for objective in draft.request.objectives)


def custom_reference_defaults(request: StudyCreate) -> tuple[float | None, ...]:
    """Return the worst value that constraints leave to each objective: nothing beyond it is on the front."""
    return tuple(_bound(objective, request) for objective in request.objectives)


def _natural_reference(objective: Objective, draft: StudyDraft) -> float | None:
    if objective.metric == Metric.SCORE and objective.direction is Direction.MAXIMIZE:
        return draft.task.chance_score(draft.configuration.task.resolved_score)
    if objective.metric in KNOWN_METRICS and objective.direction is Direction.MINIMIZE:
        # A configuration at the largest size still counts.
        return max(1.0, 1.1 * _largest(objective.metric, draft))
    return None


def _largest(metric: str, draft: StudyDraft) -> float:
    extremes = {name: extremes_of(parameter) for name, parameter in draft.search_space.by_name.items()}
    largest = {name: values[-1] for name, values in extremes.items()}
    # Methods have no order, and a longer block means more scalars in one and fewer in another.
    names = [METHOD, "peft.library.block_size"]
    if METHOD in extremes:
        # Fine-tuning trains the more, the lower the layer at which it begins.
        names.append("peft.first_active_layer")
    unordered = {name: extremes[name] for name in names if name in extremes}
    corners = (dict(zip(unordered, corner, strict=True)) for corner in product(*unordered.values()))
    configurations = (canonical(patch(draft.configuration, largest | corner)) for corner in corners)
    shape, classes = draft.backbone.shape, draft.task.classes
    return max(exact_metrics(item, shape=shape, classes=classes)[metric] for item in configurations)


def _bound(objective: Objective, request: StudyCreate) -> float | None:
    minimize = objective.direction is Direction.MINIMIZE
    side = ConstraintOp.AT_MOST if minimize else ConstraintOp.AT_LEAST
    bounds = [
        item.bound for item in request.constraints if (item.metric, item.op) == (objective.metric, side)
    ]
    return (min if minimize else max)(bounds, default=None)
