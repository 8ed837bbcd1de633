"""Trace spans of attempts at trials: which, how long, and how they ended. Knows no exporter."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from opentelemetry import trace

from api_schemas.trials import ClaimedTrial, TrialReport, TrialState

tracer = trace.get_tracer("paretune")


@contextmanager
def attempt_spans(pack: Sequence[ClaimedTrial]) -> Iterator[None]:
    """Time the attempts at the trials of a pack; spans of work for all of them are children of the first."""
    with ExitStack() as open_spans:
        for other in pack[1:]:
            span = tracer.start_span(
                "attempt", attributes=_identity(other) | {"packed_under": pack[0].trial_id}
            )
            open_spans.callback(span.end)
        with tracer.start_as_current_span("attempt", attributes=_identity(pack[0])):
            yield


def mark_end(claimed: ClaimedTrial, report: TrialReport) -> None:
    """Note in the current span how an attempt has ended; FAILED is an error, INFEASIBLE is a result."""
    span = trace.get_current_span()
    reason = {} if report.reason is None else {"reason": report.reason}
    span.add_event("ended", {**_identity(claimed), "state": report.state.value, **reason})
    if report.state is TrialState.FAILED:
        span.set_status(trace.StatusCode.ERROR, report.reason)


def without_trace() -> AbstractContextManager[Any]:
    """Leave the trace for the length of a block: hours of heartbeats would hide the other spans."""
    return trace.use_span(trace.INVALID_SPAN)


def _identity(claimed: ClaimedTrial) -> dict[str, str | int]:
    return {
        "study_id": claimed.study_id,
        "trial_id": claimed.trial_id,
        "trial": claimed.number,
        "replicate": claimed.replicate,
        "attempt": claimed.attempt,
    }
