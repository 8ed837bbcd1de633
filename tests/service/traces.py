"""Finished spans in memory, from a provider that lives as long as one test."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.util._once import Once

from service.runtime import telemetry
from workers import spans


@dataclass
class Finished(SpanExporter):
    """The spans that have ended, in that order."""

    spans: list[ReadableSpan] = field(default_factory=list)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        ids = {found.context.span_id: found for found in self.spans if found.context}
        return None if span.parent is None else ids.get(span.parent.span_id)

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the root to a span."""
        above = self.parent(span)
        return [*(self.path(above) if above else []), span.name]


def forget_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a process begins; the test's end brings the former state back."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    for tracer in (telemetry.tracer, spans.tracer):
        monkeypatch.setattr(tracer, "_real_tracer", None)


def finished_spans(monkeypatch: pytest.MonkeyPatch) -> Finished:
    """Let spans be collected until the end of the test."""
    forget_provider(monkeypatch)
    finished = Finished()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(finished))
    trace.set_tracer_provider(provider)
    return finished
