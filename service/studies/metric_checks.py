"""Whether the metrics that a posted study names are metrics that its trials have."""

from collections.abc import Iterator

from api_schemas.errors import FieldError
from api_schemas.near_names import meant
from api_schemas.network_costs import network_problem
from api_schemas.objectives import NETWORK_METRICS, RESERVED_METRICS, Metric
from api_schemas.peft.counts import counts_operations
from api_schemas.studies import StudyCreate
from service.studies.study_draft import StudyDraft


def unknown_metric_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find metrics that our workers do not measure."""
    measured = tuple(metric.value for metric in Metric)
    for pointer, metric in _named_metrics(draft.request):
        if metric not in measured:
            detail = f"A trial yields no '{metric}'; it yields {', '.join(measured)}"
            yield FieldError(pointer=pointer, detail=detail + (meant(metric, measured) or "."))


def flops_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find FLOPs where a trial may use a method of which they are not counted."""
    if all(map(counts_operations, draft.methods)):
        return
    for pointer, metric in _named_metrics(draft.request):
        if metric == Metric.ADAPTER_FLOPS:
            yield FieldError(
                pointer=pointer,
                detail="It is known for our own modules and fine-tuning only: set peft.method to 'modules' "
                "or 'full', or name trainable_parameters.",
            )


def network_metric_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find costs of the network where they are not known of its backbone."""
    problem = network_problem(draft.backbone.shape)
    for pointer, metric in _named_metrics(draft.request):
        if metric in NETWORK_METRICS and problem is not None:
            yield FieldError(pointer=pointer, detail=f"'{metric}' is not known: {problem}")


def log_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find objectives that set their scale, which is fixed for our metrics."""
    for place, objective in enumerate(draft.request.objectives):
        if objective.log:
            yield FieldError(
                pointer=f"/objectives/{place}/log", detail="only metrics of a custom study may set this"
            )


def reserved_metric_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find metrics of a custom study whose names the service itself uses."""
    for pointer, metric in _named_metrics(request):
        if metric in RESERVED_METRICS:
            yield FieldError(
                pointer=pointer, detail=f"the service itself writes '{metric}'; take another name"
            )


def log_bound_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find bounds without a logarithm on objectives of a logarithmic scale."""
    logarithmic = {objective.metric for objective in request.objectives if objective.log}
    for place, constraint in enumerate(request.constraints):
        if constraint.metric in logarithmic and constraint.bound <= 0:
            yield FieldError(
                pointer=f"/constraints/{place}/bound",
                detail=f"'{constraint.metric}' is on a logarithmic scale: a bound must be greater than 0",
            )


def _named_metrics(request: StudyCreate) -> Iterator[tuple[str, str]]:
    """Yield each metric of objectives and constraints after its JSON pointer."""
    for place, objective in enumerate(request.objectives):
        yield f"/objectives/{place}/metric", objective.metric
    for place, constraint in enumerate(request.constraints):
        yield f"/constraints/{place}/metric", constraint.metric
