"""The id of a request: what is accepted, where it comes back, and what the log says."""

import json
import logging
import re

import pytest
from fastapi.testclient import TestClient

from service.runtime.logs import write_json
from tests.conftest import API_KEY, Connect, study_body
from tests.service.conftest import bearer

OURS = re.compile(r"req_[0-9a-f]{32}")


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY), raise_server_exceptions=False)


def lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("unsafe", ["", "a b", 'a"b', "a\tb", "é", "x" * 65, "{}"])
def test_an_unsafe_id_is_replaced(unsafe: str, connect: Connect) -> None:
    """What could break a log line or a header never comes back."""
    answer = connect().get("/healthz", headers=[(b"X-Request-ID", unsafe.encode())])
    assert OURS.fullmatch(answer.headers["x-request-id"])


def test_every_answer_carries_the_callers_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A success, a refusal, a body too large, a crash; and the log has it beside the traceback."""

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the cause")

    named = {"X-Request-ID": "build.7_a-b"}
    answers = [
        client.get("/healthz", headers=named),
        client.get("/v1/studies", headers={**named, "Authorization": "Bearer wrong"}),
        client.post("/v1/studies", content=b" " * 2_000_000, headers=named),
    ]
    monkeypatch.setattr("service.storage.queries.list_studies", explode)
    answers.append(client.get("/v1/studies", headers=named))
    assert [answer.status_code for answer in answers] == [200, 401, 413, 500]
    assert {answer.headers["x-request-id"] for answer in answers} == {"build.7_a-b"}
    crash = next(line for line in lines(capsys) if line["event"] == "request crashed")
    assert crash["request_id"] == "build.7_a-b"
    assert "RuntimeError: the cause" in str(crash["exception"])


def test_the_log_says_who_did_what_and_not_who_looked(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON line for a write or a refusal, with study, key and status; none for a read."""
    study_id = client.post("/v1/studies", json=study_body()).json()["id"]
    client.get(f"/v1/studies/{study_id}")
    client.post(f"/v1/studies/{study_id}:cancel", headers={"X-Request-ID": "r-1"})
    created, cancelled = lines(capsys)
    assert created["path"] == "/v1/studies"
    expected = {"event": "request", "request_id": "r-1", "study_id": study_id, "status": 200, "level": "info"}
    assert expected.items() <= cancelled.items()
    assert str(cancelled["key_id"]).startswith("key_")


def test_loggers_of_libraries_write_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """What Celery and uvicorn log can be read by the same program, tracebacks among it."""
    logger = logging.Logger("library")
    logger.addHandler(logging.StreamHandler())
    write_json(logger)
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it %s", "failed")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("it failed", "error")
    assert "ValueError: broken" in line["exception"]
