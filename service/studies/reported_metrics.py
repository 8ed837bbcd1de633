"""Which metrics a result of a study must and may have. Pure; knows no database session."""

from collections.abc import Iterator, Mapping

from api_schemas.errors import FieldError
from api_schemas.objectives import RESERVED_METRICS, Objective
from service.models import Study


def metric_errors(study: Study, metrics: Mapping[str, float], *, pointer: str) -> Iterator[FieldError]:
    """Find the metrics that the study names and a result lacks, and those without a logarithm."""
    named = [item["metric"] for item in [*study.objectives, *study.constraints]]
    for name in dict.fromkeys(named):
        if name not in metrics:
            yield FieldError(pointer=pointer, detail=f"the study needs the metric '{name}'")
    for objective in (Objective.model_validate(item) for item in study.objectives):
        if objective.log and metrics.get(objective.metric, 1.0) <= 0:
            yield FieldError(
                pointer=f"{pointer}/{objective.metric}",
                detail=f"'{objective.metric}' is on a logarithmic scale: it must be greater than 0",
            )


def reserved_errors(metrics: Mapping[str, float], *, pointer: str) -> Iterator[FieldError]:
    """Find the names that only the service may write."""
    for name in sorted(RESERVED_METRICS & metrics.keys()):
        yield FieldError(pointer=f"{pointer}/{name}", detail="the service itself writes this name")
