"""Who has what it asks for gets a 304, and nobody is told 304 about something that has changed."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from api_schemas.trials import Measurement, TrialReport, TrialState
from service import leases, sweeper
from service.app import create_app
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.test_leases import expire_all_leases, stored_study

REPORT = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})


@pytest.fixture
def client(service_environment: None) -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"Authorization": f"Bearer {API_KEY}"}) as opened:
        yield opened


def claimed_trial() -> tuple[str, int]:
    claimed = leases.claim("w")
    assert claimed is not None
    return claimed.trial_id, claimed.attempt


def urls(client: TestClient, study_id: str) -> list[str]:
    """Every JSON resource under /v1, with the ids of a study and its first trial in their places."""
    trial_id = client.get(f"/v1/studies/{study_id}/trials").json()["trials"][0]["id"]
    return [
        path.format(study_id=study_id, trial_id=trial_id)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        if path.startswith("/v1/")
        and "application/json"
        in operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    ]


def test_whoever_has_it_is_told_so(client: TestClient) -> None:
    """By its tag, by the tag called weak, in a list, and by `*`; the answer has no body."""
    for url in urls(client, stored_study(trials=1)):
        read = client.get(url)
        tag = read.headers["etag"]
        assert tag.startswith('"'), url
        assert read.headers["cache-control"] == "no-cache"
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            cached = client.get(url, headers={"If-None-Match": known})
            assert (cached.status_code, cached.content) == (304, b""), (url, known)
            assert cached.headers["etag"] == tag
            assert cached.headers["cache-control"] == "no-cache"
        for other in ('"other"', tag.strip('"'), ""):
            again = client.get(url, headers={"If-None-Match": other})
            assert (again.status_code, again.content) == (200, read.content), (url, other)


def test_another_tenant_is_not_told_that_it_is_unchanged(client: TestClient) -> None:
    """Nor is somebody without a key: the tag proves nothing."""
    url = f"/v1/studies/{stored_study(trials=1)}"
    known = {"If-None-Match": client.get(url).headers["etag"]}
    assert client.get(url, headers={**known, "Authorization": f"Bearer {OTHER_KEY}"}).status_code == 404
    assert client.get(url, headers={**known, "Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(url, headers={**known, "Authorization": API_KEY}).status_code == 401


def test_a_tag_belongs_to_one_url(client: TestClient) -> None:
    """The tag of a study says nothing about its trials, nor that of one page about another."""
    study = f"/v1/studies/{stored_study(trials=2)}"
    for one, other in ((study, f"{study}/trials"), (f"{study}/trials", f"{study}/trials?page_size=1")):
        known = {"If-None-Match": client.get(one).headers["etag"]}
        assert client.get(other, headers=known).status_code == 200
        assert client.get(f"{study}/nothing", headers=known).status_code == 404


def test_every_change_that_can_be_seen_changes_the_tag(client: TestClient) -> None:
    """Through claims, measurements, lost leases, results, pauses and ends: no new body under an old tag."""
    study_id = stored_study(trials=3, parallelism=2, final_replicates=1)
    study = f"/v1/studies/{study_id}"
    trials: list[tuple[str, int]] = []
    leases_per_trial = 3

    def expire() -> None:
        expire_all_leases()
        sweeper.sweep_once()

    steps = [
        lambda: trials.append(claimed_trial()),
        lambda: leases.record_measurement(*trials[-1], Measurement(step=1, metrics={"score": 0.5})),
        lambda: leases.heartbeat(*trials[-1]),
        lambda: leases.release(*trials[-1]),
        *[lambda: trials.append(claimed_trial()), expire] * leases_per_trial,
        lambda: client.post(f"{study}:pause"),
        lambda: client.post(f"{study}:resume"),
        lambda: trials.append(claimed_trial()),
        lambda: leases.complete(*trials[-1], TrialReport(state=TrialState.INFEASIBLE, reason="r")),
        lambda: trials.append(claimed_trial()),
        lambda: leases.complete(*trials[-1], REPORT),
        lambda: trials.append(claimed_trial()),
        lambda: leases.complete(*trials[-1], REPORT),
        lambda: client.post(f"{study}:extend", json={"trials": 1}),
        lambda: client.post(f"{study}:cancel"),
    ]
    watched = [url for url in urls(client, study_id) if url.startswith(study)]
    seen = {url: client.get(url) for url in watched}
    changes = 0
    for step in steps:
        step()
        for url in watched:
            now = client.get(url)
            if now.content != seen[url].content:
                assert now.headers["etag"] != seen[url].headers["etag"], url
                changes += 1
            seen[url] = now
    assert changes > len(steps)


def test_a_change_names_the_version_that_it_changes(client: TestClient) -> None:
    """428 without one, 412 for an old or a weak one; the answer has the new one."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    tag = client.get(study).headers["etag"]
    renamed = {"display_name": "renamed"}
    assert client.patch(study, json=renamed).status_code == 428
    for wrong in ('"other"', f"W/{tag}", ""):
        refused = client.patch(study, json=renamed, headers={"If-Match": wrong})
        assert refused.status_code == 412, wrong
        assert refused.json()["type"] == "/problems/outdated-version"
    changed = client.patch(study, json=renamed, headers={"If-Match": f'"x", {tag}'})
    assert changed.json()["display_name"] == "renamed"
    assert client.patch(study, json=renamed, headers={"If-Match": tag}).status_code == 412
    assert client.get(study, headers={"If-None-Match": changed.headers["etag"]}).status_code == 304
    assert client.patch(study, json={}, headers={"If-Match": "*"}).headers["etag"] == changed.headers["etag"]


def test_connections_that_have_died_are_no_errors(client: TestClient, session: Session) -> None:
    """After the database was restarted, polls go on: the long way once, then the short one."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    known = {"If-None-Match": client.get(study).headers["etag"]}
    assert client.get(study, headers=known).status_code == 304
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    session.execute(others)
    for _ in range(2):
        assert client.get(study, headers=known).status_code == 304
