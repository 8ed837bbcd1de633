"""Traces: off unless asked for, sent as the standard says, whole from a request to a worker."""

import json
import sys
from collections.abc import Iterator

import pytest
from celery.worker.request import Request
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import ProgrammingError

from service.api.app import create_app
from service.runtime import telemetry
from service.runtime.broker import ADVANCE_STUDY, STUDIES_QUEUE, celery_app
from service.runtime.logs import configure_logs
from service.storage.database import engine, transaction
from service.study_worker import advance_study
from tests.conftest import API_KEY
from tests.service.traces import Finished, finished_spans, forget_provider
from tests.service.trials.test_ask_and_tell import custom_body
from tests.service.webhooks.receiver import receiving

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"

LISTENERS = {
    "before_cursor_execute": telemetry._statement_begins,
    "after_cursor_execute": telemetry._statement_ends,
    "handle_error": telemetry._statement_fails,
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*telemetry.ENDPOINTS, *telemetry.PROTOCOLS, "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    forget_provider(monkeypatch)
    configure_logs()
    yield
    telemetry.stop_telemetry()
    for name, listener in LISTENERS.items():
        if event.contains(Engine, name, listener):
            event.remove(Engine, name, listener)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> Finished:
    return finished_spans(monkeypatch)


def is_on() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str]
) -> None:
    """Without an endpoint, or switched off by the standard's variables, there is not even a line."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    telemetry.start_telemetry("paretune-test")
    assert not is_on()
    assert capsys.readouterr().out == ""


def test_what_is_not_installed_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the variable and what to install, and the process goes on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    telemetry.start_telemetry("paretune-test")
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["level"] == "warning"
    assert "paretune[telemetry]" in line["event"]
    assert line["variable"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert not is_on()


def test_a_protocol_that_is_not_spoken_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A collector's gRPC port would get what it cannot read."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    telemetry.start_telemetry("paretune-test")
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["protocol"]) == ("warning", "grpc")
    assert not is_on()


@pytest.mark.parametrize(("given", "shown"), [(None, "paretune-test"), ("mine", "mine")])
def test_spans_arrive_at_a_collector(monkeypatch: pytest.MonkeyPatch, given: str | None, shown: str) -> None:
    """As OTLP over HTTP, under the name that the environment gives, or else under ours."""
    if given is not None:
        monkeypatch.setenv("OTEL_SERVICE_NAME", given)
    with receiving() as collector:
        collector.answers = [200]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.removesuffix("/hook?a=b"))
        telemetry.start_telemetry("paretune-test")
        with telemetry.tracer.start_as_current_span("propose", attributes={"count": 3}):
            pass
        telemetry.stop_telemetry()
    ((headers, body),) = collector.received
    assert headers["content-type"] == "application/x-protobuf"
    (sent,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = {item.key: item.value.string_value for item in sent.resource.attributes}
    (span,) = sent.scope_spans[0].spans
    assert names["service.name"] == shown
    assert (span.name, span.attributes[0].key, span.attributes[0].value.int_value) == ("propose", "count", 3)


def test_a_request_is_one_trace_with_its_task(
    service_environment: None, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    """Request, transaction, message and task under one id, which the log lines name, too."""
    headers = {"Authorization": f"Bearer {API_KEY}", "X-Request-ID": "mine"}
    with celery_app.connection_for_read() as connection, TestClient(create_app(), headers=headers) as client:
        queue = celery_app.amqp.queues[STUDIES_QUEUE](connection.default_channel)
        queue.purge()
        study_id = client.post("/v1/studies", json=custom_body()).json()["id"]
        message = queue.get(no_ack=True)
        # What a worker does with a message that it has taken.
        Request(message, app=celery_app, task=advance_study).execute()
    (request,) = finished.named("POST /v1/studies")
    (task,) = finished.named(f"run {ADVANCE_STUDY}")
    assert finished.path(task) == [
        "POST /v1/studies",
        "transaction",
        f"send {ADVANCE_STUDY}",
        f"run {ADVANCE_STUDY}",
    ]
    assert request.attributes is not None
    assert request.attributes["request_id"] == "mine"
    (proposal,) = finished.named("propose")
    assert proposal.attributes is not None
    assert proposal.attributes["generated_by"] == ("starting_point", "initial_design", "initial_design")
    assert {"fit_seconds", "search_seconds"} <= proposal.attributes.keys()
    assert request.context is not None
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    traced = {line["event"] for line in lines if line.get("trace_id") == f"{request.context.trace_id:032x}"}
    assert traced >= {"request", "proposed"}
    assert [line["study_id"] for line in lines if line["event"] == "proposed"] == [study_id]


def test_what_a_task_wakes_is_a_trace_of_its_own(service_environment: None, finished: Finished) -> None:
    """With a link to what woke it: a study that lives for days is not one trace."""
    with (
        telemetry.tracer.start_as_current_span("attempt") as attempt,
        telemetry.sending(ADVANCE_STUDY) as headers,
    ):
        pass
    advance_study.push_request(**headers, parent_id="the task of the attempt")
    advance_study.run("std_none")
    advance_study.pop_request()
    (task,) = finished.named(f"run {ADVANCE_STUDY}")
    (send,) = finished.named(f"send {ADVANCE_STUDY}")
    assert task.parent is None
    assert task.context is not None
    assert task.context.trace_id != attempt.get_span_context().trace_id
    assert [link.context.span_id for link in task.links] == [send.context.span_id if send.context else 0]


def test_probes_are_not_traced(service_environment: None, finished: Finished) -> None:
    """What asks every few seconds how the process is would bury the rest."""
    with TestClient(create_app()) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
    assert finished.spans == []


def test_statements_are_spans_of_a_trace(service_environment: None, finished: Finished) -> None:
    """Inside of a trace and nowhere else; with their text, without their values, failed ones as errors."""
    telemetry.trace_statements()
    with transaction() as session:
        session.execute(text("SELECT 1"))
    with telemetry.tracer.start_as_current_span("request"):
        with transaction() as session:
            session.execute(text("SELECT :value"), {"value": "secret"})
        with pytest.raises(ProgrammingError), engine().connect() as connection:
            connection.execute(text("SELECT nonsense"))
    statements = ("SELECT %(value)s", "SELECT nonsense")
    spans = [span for span in finished.spans if (span.attributes or {}).get("db.query.text") in statements]
    good, bad = spans
    assert good.attributes is not None
    assert "secret" not in str(dict(good.attributes))
    assert not bad.status.is_ok
    assert len(finished.named("transaction")) == 1
