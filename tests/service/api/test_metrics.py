"""What a scrape tells, and whom."""

import time

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.orm import Session

from api_schemas.trials import TrialReport, TrialState
from service.api.app import create_app
from service.settings import settings
from service.storage.counters import CounterName, count, totals
from service.storage.database import engine, transaction
from service.studies import steering
from service.trials import leases, sweeper
from tests.conftest import API_KEY
from tests.service.trials.test_leases import expire_all_leases, set_state, stored_study

HERE = ("127.0.0.1", 50000)
REPORT = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})


def scraped(client: TestClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_are_for_this_host_unless_there_is_a_token(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """403 from elsewhere; with a token set, 401 without it, from this host too."""
    app = create_app()
    elsewhere = TestClient(app, client=("203.0.113.7", 50000))
    here = TestClient(app, client=HERE)
    assert [elsewhere.get("/metrics").status_code, here.get("/metrics").status_code] == [403, 200]
    monkeypatch.setenv("PARETUNE_METRICS_TOKEN", "s3cret")
    settings.cache_clear()
    wrong, right = ({"Authorization": f"Bearer {token}"} for token in ("s3cre", "s3cret"))
    assert [here.get("/metrics").status_code, here.get("/metrics", headers=wrong).status_code] == [401, 401]
    assert elsewhere.get("/metrics", headers=right).status_code == 200


def test_without_a_database_the_process_is_still_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """One metric says that Postgres is away; no number of it is made up."""
    engine.cache_clear()
    client = TestClient(create_app(), client=HERE)
    found = scraped(client)
    assert found["paretune_database_up",] == 0
    assert ("paretune_queued_trials",) not in found
    assert ("process_resident_memory_bytes",) in found


def test_a_scrape_tells_what_the_deployment_does(service_environment: None, session: Session) -> None:
    """Waiting and running trials, sums over all processes, the reaper's lag; a paused study's queue waits."""
    client = TestClient(create_app(), client=HERE)
    paused = stored_study(trials=3)
    set_state(paused, lambda session, study: steering.pause(session, study))
    study_id = stored_study(trials=4, parallelism=3)
    claimed = [leases.claim("w") for _ in range(3)]
    assert all(one is not None and one.study_id == study_id for one in claimed)
    found = scraped(client)
    assert (found["paretune_queued_trials",], found["paretune_running_trials",]) == (1, 3)
    assert (found["paretune_studies", "ACTIVE"], found["paretune_studies", "PAUSED"]) == (1, 1)
    assert ("paretune_reaper_lag_seconds",) not in found
    assert claimed[0] is not None
    leases.complete(claimed[0].trial_id, claimed[0].attempt, REPORT)
    leases.complete(claimed[0].trial_id, claimed[0].attempt, REPORT)
    once = scraped(client)["paretune_trial_seconds_total",]
    expire_all_leases()
    sweeper.sweep_once()
    found = scraped(client)
    assert found["paretune_trial_seconds_total",] == once > 0
    assert found["paretune_lease_expiries_total",] == 2
    assert 0 <= found["paretune_reaper_lag_seconds",] < 60


def test_the_lag_grows_while_nobody_reaps(service_environment: None, session: Session) -> None:
    """Before the first sweep there is none; afterwards it is the time since, by the database's clock."""
    client = TestClient(create_app(), client=HERE)
    assert ("paretune_reaper_lag_seconds",) not in scraped(client)
    sweeper.sweep_once()
    assert scraped(client)["paretune_reaper_lag_seconds",] < 60
    session.execute(text("UPDATE heartbeats SET beaten_at = now() - interval '1 hour'"))
    session.commit()
    assert scraped(client)["paretune_reaper_lag_seconds",] >= 3600


def test_requests_are_measured_by_route_not_by_path(service_environment: None) -> None:
    """A study's id is in no label, nor a path or method that somebody made up."""
    client = TestClient(create_app(), client=HERE, headers={"Authorization": f"Bearer {API_KEY}"})
    for path in ("std_1", "std_2"):
        client.get(f"/v1/studies/{path}")
    client.get("/nothing/here")
    client.request("INVENT", "/v1/studies")
    found = scraped(client)
    name = "paretune_http_request_seconds_count"
    assert found[name, "GET", "/v1/studies/{study_id}", "404"] == 2
    assert found[name, "GET", "no route", "404"] == 1
    assert not [labels for labels in found if {"INVENT", "/nothing/here"} & set(labels)]


def test_a_stream_is_counted_while_it_is_open_and_not_by_its_length(server_url: str) -> None:
    """Hours of listening are no slow requests; a stream that is refused is a request like any other."""
    study_id = stored_study(trials=1)
    headers = {"Authorization": f"Bearer {API_KEY}", "Accept": "text/event-stream"}

    def metrics() -> str:
        return httpx.get(f"{server_url}/metrics", timeout=30).text

    address = f"{server_url}/v1/studies/{study_id}/events"
    with httpx.stream("GET", address, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert "paretune_event_streams 1.0" in metrics()
    httpx.get(address + "?after=x", headers=headers, timeout=30)
    give_up = time.monotonic() + 30
    while "paretune_event_streams 0.0" not in (found := metrics()):
        assert time.monotonic() < give_up
    measured = [line for line in found.splitlines() if "/events" in line and "_count" in line]
    assert [line.split('status="')[1] for line in measured] == ['422"} 1.0']


def test_sums_of_many_connections_add_up(session: Session) -> None:
    """Each connection has its row; what is rolled back is not counted."""
    count(session, CounterName.PROPOSAL_SECONDS, 1.5)
    with transaction() as another:
        count(another, CounterName.PROPOSAL_SECONDS, 2.0)
        count(another, CounterName.PROPOSAL_SECONDS, 0.25)
    session.rollback()
    count(session, CounterName.PROPOSALS)
    session.commit()
    assert totals(session)[CounterName.PROPOSAL_SECONDS] == 2.25
    assert totals(session)[CounterName.PROPOSALS] == 1
    assert totals(session)[CounterName.LEASE_EXPIRIES] == 0
