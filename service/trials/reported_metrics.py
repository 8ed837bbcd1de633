"""Which metrics a result of a study must and may have. Pure; knows no database session."""

import math
from collections.abc import Iterator, Mapping

from api_schemas.errors import FieldError
from api_schemas.exact_metrics import exact_metrics
from api_schemas.objectives import LARGEST_METRIC, NETWORK_METRICS, RESERVED_METRICS
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialReport, TrialState
from service.errors.conflicts import ConflictingResult
from service.expressions.evaluation import Rows, evaluate
from service.storage import typed_study
from service.storage.models import Replicate, Study, Trial

EXPRESSION_TOLERANCE = 1e-9
"""How far a caller's own arithmetic may be from that of an expression, as a share of the value."""


def metric_errors(study: Study, metrics: Mapping[str, float], *, pointer: str) -> Iterator[FieldError]:
    """Find the metrics that the study names and a result lacks, and those without a logarithm."""
    for name in typed_study.named_metrics(study):
        if name not in metrics:
            yield FieldError(pointer=pointer, detail=f"the study needs the metric '{name}'")
    for objective in typed_study.objectives(study):
        if objective.log and metrics.get(objective.metric, 1.0) <= 0:
            yield FieldError(
                pointer=f"{pointer}/{objective.metric}",
                detail=f"'{objective.metric}' is on a logarithmic scale: it must be greater than 0",
            )


def exact_metrics_of(
    study: Study, configuration: TrialConfiguration | None, parameters: Parameterization
) -> dict[str, float]:
    """Compute what needs no trial; in a custom study, by its expressions. NaN where one has no value."""
    shape = typed_study.backbone_shape(study)
    if configuration is not None and shape is not None and study.classes is not None:
        return exact_metrics(configuration, shape=shape, classes=study.classes)
    row = Rows([parameters])
    return {metric: float(evaluate(node, row)[0]) for metric, node in typed_study.expressions(study).items()}


def with_network_metrics(study: Study, trial: Trial, metrics: Mapping[str, float]) -> Mapping[str, float]:
    """Return metrics with those exact ones that a study names and no worker counts."""
    missing = NETWORK_METRICS.intersection(typed_study.named_metrics(study)) - metrics.keys()
    if not missing or trial.configuration is None:
        return metrics
    configuration = TrialConfiguration.model_validate(trial.configuration)
    exact = exact_metrics_of(study, configuration, trial.parameters)
    return {**metrics, **{name: exact[name] for name in missing}}


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that have a value."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def result_errors(
    study: Study, metrics: Mapping[str, float], *, exact: Mapping[str, float], pointer: str
) -> Iterator[FieldError]:
    """Find the metrics that a result from outside lacks, and exact metrics with other values."""
    yield from reserved_errors(metrics, pointer=pointer)
    yield from metric_errors(study, {**exact, **metrics}, pointer=pointer)
    tolerance = EXPRESSION_TOLERANCE if study.configuration is None else 0.0
    for name, value in exact.items():
        if not math.isfinite(value):
            detail = "the study's expression for it has no finite value for these parameters"
            yield FieldError(pointer=f"{pointer}/{name}", detail=detail)
        elif not math.isclose(metrics.get(name, value), value, rel_tol=tolerance):
            shown = f"{value:,.0f}" if tolerance == 0 else f"{value:.12g}"
            yield FieldError(pointer=f"{pointer}/{name}", detail=f"for these parameters it is {shown}")


def reserved_errors(metrics: Mapping[str, float], *, pointer: str) -> Iterator[FieldError]:
    """Find the names that only the service may write."""
    for name in sorted(RESERVED_METRICS & metrics.keys()):
        yield FieldError(pointer=f"{pointer}/{name}", detail="the service itself writes this name")


def checked(study: Study, trial: Trial, report: TrialReport) -> TrialReport:
    """Return a report as it counts: one that lacks a metric of the study is FAILED.

    One with a metric that is not finite, or too large to measure a volume with, is INFEASIBLE. What the
    service counts itself need not be reported.
    """
    if report.state not in (TrialState.SUCCEEDED, TrialState.STOPPED_EARLY):
        return report
    report = report.model_copy(update={"metrics": with_network_metrics(study, trial, report.metrics)})
    missing = sorted(set(typed_study.named_metrics(study)) - report.metrics.keys())
    if missing:
        reason = f"metrics-missing: the worker reported no {', '.join(missing)}"
        return report.model_copy(update={"state": TrialState.FAILED, "reason": reason})
    odd = sorted(name for name, value in report.metrics.items() if not math.isfinite(value))
    if odd:
        return _infeasible(report, f"not-a-number: {', '.join(odd)}")
    huge = sorted(name for name, value in report.metrics.items() if abs(value) > LARGEST_METRIC)
    if huge:
        return _infeasible(report, f"too-large: {', '.join(huge)}; the limit is {LARGEST_METRIC:g}")
    return report


def same_metrics(reported: Mapping[str, float], stored: Mapping[str, float]) -> bool:
    """Return whether the stored metrics are those that were reported."""
    # JSON in the database keeps no exponent: a large number comes back as an integer of all its digits.
    return {name: float(value) for name, value in stored.items()} == dict(reported)


def adds_nothing(reported: Mapping[str, float], stored: Mapping[str, float]) -> bool:
    """Return whether each of the reported metrics is stored, perhaps among others."""
    return same_metrics(reported, {name: stored[name] for name in reported if name in stored})


def repeats(study: Study, trial: Trial, replicate: Replicate, report: TrialReport) -> bool:
    """Return whether an attempt has ended with this very report.

    Raises:
        ConflictingResult: If the attempt has ended with another result.
    """
    if replicate.state not in TERMINAL_TRIAL_STATES:
        return False
    repeated = checked(study, trial, report)
    if repeated.state is replicate.state and (
        repeated.state is TrialState.STOPPED_EARLY
        or (
            same_metrics(repeated.metrics, replicate.metrics)
            and same_metrics(repeated.test_metrics, replicate.test_metrics)
        )
    ):
        return True
    raise ConflictingResult(
        f"Attempt {replicate.attempt} of trial '{replicate.trial_id}' has ended as {replicate.state} with "
        "another result. If that was told wrongly, correct it with ':correct'."
    )


def _infeasible(report: TrialReport, reason: str) -> TrialReport:
    return TrialReport(state=TrialState.INFEASIBLE, reason=reason, provenance=report.provenance)
