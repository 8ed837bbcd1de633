"""Token buckets, against the closed form, and what a caller hears."""

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service.access.rate_limit import RateLimit
from service.api.app import create_app
from service.settings import settings
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.conftest import bearer


@given(
    pauses=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50),
    rate=st.floats(0.1, 10.0),
    burst=st.integers(1, 5),
)
def test_never_more_than_the_burst_and_what_came_back(pauses: list[float], rate: float, burst: int) -> None:
    """In any stretch of time t at most burst + rate t requests pass, and the wait that is named is enough."""
    limit = RateLimit(rate=rate, burst=burst)
    now, passed = 0.0, 0
    for pause in pauses:
        now += pause
        wait = limit.seconds_to_wait("a", now=now)
        passed += wait == 0
        assert passed <= burst + rate * now + 1e-6
        if wait:
            now += wait + 1e-6
            assert limit.seconds_to_wait("a", now=now) == 0
            passed += 1


def test_one_key_does_not_use_up_anothers() -> None:
    """Each has its own bucket."""
    limit = RateLimit(rate=1.0, burst=1)
    assert [limit.seconds_to_wait(key, now=0.0) for key in "aab"] == [0.0, 1.0, 0.0]


def test_too_many_requests_say_when_to_come_back(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 as a problem with Retry-After; another key is served."""
    monkeypatch.setenv("PARETUNE_REQUESTS_PER_SECOND", "0.1")
    monkeypatch.setenv("PARETUNE_REQUEST_BURST", "2")
    settings.cache_clear()
    client = TestClient(create_app(), headers=bearer(API_KEY))
    answers = [client.get("/v1/studies") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["type"] == "/problems/too-many-requests"
    assert answers[2].headers["retry-after"] in ("9", "10")
    assert client.get("/v1/studies", headers=bearer(OTHER_KEY)).status_code == 200
