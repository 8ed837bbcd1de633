"""Text that is none, and endless nesting, at every key, value and parameter of every operation."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service.api.protocol.body_rules import MOST_NESTED, faults_of_body
from service.errors import MalformedJson
from tests.conftest import API_KEY, Connect, application, study_body
from tests.service.api.test_error_surface import JSON, address
from tests.service.api.test_routes import BODIES
from tests.service.conftest import bearer

DOCUMENT = application().openapi()["paths"]
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT.items()
    for method, operation in operations.items()
]
RICHER: dict[tuple[str, str], object] = {
    ("POST", "/v1/studies/{study_id}:clone"): {"edits": {"seed": 1, "search_space": {"parameters": [{}]}}},
}
UNUSABLE = ("\ud800", "a\udfffb", "\udc00\ud800", "\0", "a\0b")


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY), raise_server_exceptions=False)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from places(item, (*place, step))


def spoilt(body: Any, unusable: str) -> Iterator[Any]:
    """Give bodies with such text once: in the place of each value, and as a key of each object."""
    for place in places(body):
        for as_key in (False, True):
            changed = {"body": copy.deepcopy(body)}
            holder: Any = changed
            *way, last = ("body", *place)
            for step in way:
                holder = holder[step]
            if not as_key:
                holder[last] = unusable
            elif isinstance(holder[last], dict):
                holder[last][unusable] = 1
            else:
                continue
            yield changed["body"]


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_no_key_and_no_value_of_any_body_holds_what_is_no_text(client: TestClient, unusable: str) -> None:
    """422 that points at it, wherever it stands."""
    asked = 0
    for method, path, operation in OPERATIONS:
        if "application/json" not in operation.get("requestBody", {}).get("content", {}):
            continue
        whole = RICHER.get((method, path), BODIES[method, path])
        for body in spoilt(whole, unusable):
            answer = client.request(method, address(path), content=json.dumps(body), headers=JSON)
            assert answer.status_code == 422, (method, path, body, answer.text)
            assert answer.json()["type"] == "/problems/invalid-request"
            assert answer.json()["errors"]
            asked += 1
    assert asked > 70


def test_no_query_holds_what_is_no_text(client: TestClient) -> None:
    """A NUL is 422; what is no UTF-8 is read as a replacement character, and crashes nothing."""
    for method, path, operation in OPERATIONS:
        names = [item["name"] for item in operation.get("parameters", []) if item["in"] == "query"]
        for name in (*names, "nobody", "%00"):
            url = f"{address(path)}?{name}="
            if path.startswith("/v1"):
                answer = client.request(method, f"{url}a%00b", json=BODIES.get((method, path)))
                assert answer.status_code == 422, (method, url, answer.text)
            answer = client.request(method, f"{url}%ED%A0%80", json=BODIES.get((method, path)))
            assert answer.status_code != 500, (method, url, answer.text)


def test_no_path_and_no_header_crashes_anything(client: TestClient) -> None:
    """Whatever stands in them is looked up and not found, or refused."""
    for method, path, operation in OPERATIONS:
        body = BODIES.get((method, path))
        for odd in ("a%00b", "%ED%A0%80", "%0A", "a" * 5000):
            answer = client.request(method, re.sub(r"{\w+}", odd, path), json=body)
            assert answer.status_code != 500, (method, path, odd, answer.text)
        names = [item["name"] for item in operation.get("parameters", []) if item["in"] == "header"]
        for name in (*names, "If-Match", "If-None-Match", "X-Request-ID", "traceparent"):
            for odd_bytes in (b"\xed\xa0\x80", b'"'):
                headers = {name.encode(): odd_bytes, b"Authorization": f"Bearer {API_KEY}".encode()}
                answer = client.request(method, address(path), json=body, headers=headers)
                assert answer.status_code != 500, (method, path, name, odd_bytes, answer.text)


def test_an_unusable_key_gets_no_answer_to_repeat(client: TestClient) -> None:
    """An Idempotency-Key of other than printable ASCII characters is 422."""
    for odd in (b"\xed\xa0\x80", b"\xc3\xa4", b"a\tb"):
        headers = [(b"Idempotency-Key", odd), (b"Authorization", f"Bearer {API_KEY}".encode())]
        answer = client.post("/v1/studies", json=study_body(), headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "header:/Idempotency-Key"


def test_names_of_pages_and_files_crash_nothing(client: TestClient) -> None:
    """Outside of /v1, too."""
    for path in ("/%00", "/problems/%00", "/problems/%ED%A0%80", "/dashboard/%00", "/dashboard/a%00.js"):
        assert client.get(path).status_code != 500, path


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (rb'{"a": {"b~/": "\ud800"}}', "/a/b~0~1"),
        (rb'[1, {"\udead": 2}]', r"/1/\udead"),
        (rb'{"\u0000": 1}', r"/\x00"),
        (rb'"\u0000"', ""),
        (b"[" * (MOST_NESTED + 1) + b"]" * (MOST_NESTED + 1), "/0" * MOST_NESTED),
    ],
)
def test_a_fault_is_pointed_at(content: bytes, pointer: str) -> None:
    """As a JSON pointer that can be sent."""
    assert [fault.pointer for fault in faults_of_body(content)] == [pointer]


def test_what_may_stand_in_a_body_stands() -> None:
    """Whole pairs, escaped or not, every other control character, and nesting up to the limit."""
    deepest = b"[" * MOST_NESTED + b"]" * MOST_NESTED
    for content in (rb'"\ud83d\ude00"', '"😀"'.encode(), rb'"\u0001\uffff"', deepest, b"", b"{", b'{"a": 1}'):
        assert faults_of_body(content) == []


@pytest.mark.parametrize("content", [b'"\xed\xa0\x80"', '{"a": "b"}'.encode("utf-16"), b"[\0]", b'"\xff"'])
def test_a_body_that_is_not_utf8_is_no_json(content: bytes) -> None:
    """Half a pair in its bytes, or another encoding."""
    with pytest.raises(MalformedJson):
        faults_of_body(content)


@given(
    st.recursive(
        st.text(st.characters(codec="utf-8")) | st.integers(),
        lambda inner: st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    )
)
def test_text_that_can_be_sent_and_stored_passes(body: Any) -> None:
    """Hypothesis draws no halves of pairs; a NUL is the one character that it may draw and we refuse."""
    content = json.dumps(body)
    assert bool(faults_of_body(content.encode())) == ("\\u0000" in content.replace("\\\\", ""))
