"""Who has what it asks for gets a 304, and nobody is told 304 about something that has changed."""

from collections.abc import Callable, Sequence

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from api_schemas.access import KeyScope
from api_schemas.importance import Importance
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.access import key_uses
from service.access.keys import key_hash
from service.api.app import create_app
from service.api.protocol import kept_answers
from service.settings import settings
from service.storage.database import transaction
from service.storage.models import ApiKey, Study
from service.trials import leases, study_lifecycle, super_networks, sweeper
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.api.test_metrics import HERE
from tests.service.conftest import new_key
from tests.service.studies.test_imported_trials import imported
from tests.service.trials.test_ask_and_tell import METRICS, POINT, created
from tests.service.trials.test_leases import expire_all_leases, stored_study
from tests.service.trials.test_super_networks import SMALLER, by_depth, claim, finished

REPORT = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})


def claimed_trial() -> tuple[str, int]:
    claimed = leases.claim("w")
    assert claimed is not None
    return claimed.trial_id, claimed.attempt


def store_importance(study_id: str) -> None:
    with transaction() as session:
        study = session.get_one(Study, study_id)
        study_lifecycle.record_importance(session, study, Importance(observations=2, reason="too few"))


def urls(client: TestClient, study_id: str) -> list[str]:
    """Every JSON resource under /v1 of a study and its first trial, but one that needs a front."""
    trial_id = client.get(f"/v1/studies/{study_id}/trials").json()["trials"][0]["id"]
    return [
        path.format(study_id=study_id, trial_id=trial_id)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        if path.startswith("/v1/")
        and not path.endswith(("/recommendation", "{webhook_id}", "/deliveries", "{name}"))
        and "application/json"
        in operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    ]


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build every answer anew: a kept one hides a change that its tag does not show."""
    monkeypatch.setattr(kept_answers, "MOST_BYTES_OF_ONE", -1)


def in_study(study_id: str, change: Callable[[Session, Study], None]) -> None:
    with transaction() as session:
        change(session, session.get_one(Study, study_id))


def kinds_of_events(client: TestClient, study_id: str) -> set[str]:
    return {event["type"] for event in client.get(f"/v1/studies/{study_id}/events").json()["events"]}


def changes_with_a_new_tag(client: TestClient, study_id: str, steps: Sequence[Callable[[], object]]) -> int:
    """How many bodies the steps changed; none may change under an old tag."""
    watched = [url for url in urls(client, study_id) if url.startswith(f"/v1/studies/{study_id}")]
    seen = {url: client.get(url) for url in watched}
    changes = 0
    for number, step in enumerate(steps):
        step()
        for url in watched:
            now = client.get(url)
            if now.content != seen[url].content:
                assert now.headers["etag"] != seen[url].headers["etag"], (number, url)
                changes += 1
            seen[url] = now
    return changes


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


def test_a_key_that_has_ended_is_not_told_that_it_is_unchanged(client: TestClient) -> None:
    """Revoked or expired, it is 401, whatever tag comes with it; one that may only read is served."""
    url = f"/v1/studies/{stored_study(trials=1)}"
    known = {"If-None-Match": client.get(url).headers["etag"]}
    for ending in ("revoked_at", "expires_at"):
        authorization = new_key(KeyScope.READ)
        assert client.get(url, headers=known | authorization).status_code == 304
        sha256 = key_hash(authorization["Authorization"].removeprefix("Bearer "))
        with transaction() as session:
            session.execute(
                update(ApiKey).where(ApiKey.sha256 == sha256).values({ending: func.clock_timestamp()})
            )
        assert client.get(url, headers=known | authorization).status_code == 401


def test_polls_use_up_the_requests_of_their_key(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 after as many as the key may make, though nothing has changed; and each has its id."""
    monkeypatch.setenv("PARETUNE_REQUESTS_PER_SECOND", "0.1")
    monkeypatch.setenv("PARETUNE_REQUEST_BURST", "3")
    settings.cache_clear()
    client = TestClient(create_app(), headers={"Authorization": f"Bearer {API_KEY}"})
    url = f"/v1/studies/{stored_study(trials=1)}"
    known = {"If-None-Match": client.get(url).headers["etag"]}
    answers = [client.get(url, headers={**known, "X-Request-ID": f"poll-{n}"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [304, 304, 429]
    assert [answer.headers["x-request-id"] for answer in answers] == ["poll-0", "poll-1", "poll-2"]


def test_a_poll_is_a_use_of_its_key(client: TestClient, session: Session) -> None:
    """Its time of last use moves."""
    url = f"/v1/studies/{stored_study(trials=1)}"
    known = {"If-None-Match": client.get(url).headers["etag"]}
    key_uses.write_uses(session)
    session.execute(update(ApiKey).values(last_used_at=None))
    session.commit()
    assert client.get(url, headers=known).status_code == 304
    key_uses.write_uses(session)
    assert len(session.scalars(select(ApiKey.id).where(ApiKey.last_used_at.is_not(None))).all()) == 1


def test_polls_are_measured(service_environment: None) -> None:
    """Together, for none of them reaches a route."""
    client = TestClient(create_app(), headers={"Authorization": f"Bearer {API_KEY}"}, client=HERE)
    url = f"/v1/studies/{stored_study(trials=1)}"
    known = {"If-None-Match": client.get(url).headers["etag"]}
    assert client.get(url, headers=known).status_code == 304
    counted = [line for line in client.get("/metrics").text.splitlines() if "unchanged" in line]
    assert any('status="304"' in line and line.endswith(" 1.0") for line in counted)


def test_past_results_change_the_tag(client: TestClient) -> None:
    """Of the study, of its trials and of its front."""
    study_id = created(client)
    watched = [f"/v1/studies/{study_id}{part}" for part in ("", "/trials", "/pareto_front")]
    seen = {url: client.get(url).headers["etag"] for url in watched}
    assert imported(client, study_id, {"parameters": POINT, "metrics": METRICS}).status_code == 200
    for url, tag in seen.items():
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 200


def test_a_tag_belongs_to_one_url(client: TestClient) -> None:
    """The tag of a study says nothing about its trials, nor that of one page about another."""
    study = f"/v1/studies/{stored_study(trials=2)}"
    for one, other in ((study, f"{study}/trials"), (f"{study}/trials", f"{study}/trials?page_size=1")):
        known = {"If-None-Match": client.get(one).headers["etag"]}
        assert client.get(other, headers=known).status_code == 200
        assert client.get(f"{study}/nothing", headers=known).status_code == 404


@pytest.mark.usefixtures("nothing_kept")
def test_every_change_that_can_be_seen_changes_the_tag(client: TestClient) -> None:
    """Through claims, measurements, lost leases, results, pauses and ends: no new body under an old tag."""
    study_id = stored_study(trials=3, parallelism=2, final_replicates=1)
    study = f"/v1/studies/{study_id}"
    trials: list[tuple[str, int]] = []
    leases_per_trial = 3

    def expire() -> None:
        expire_all_leases()
        # The server's own sweeper may be at it already, and then ours does nothing.
        while client.get(study).json()["trials"]["running"]:
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
        lambda: store_importance(study_id),
        lambda: client.post(f"{study}:extend", json={"trials": 1}),
        lambda: client.post(f"{study}:cancel"),
    ]
    assert changes_with_a_new_tag(client, study_id, steps) > len(steps)


@pytest.mark.usefixtures("nothing_kept")
def test_a_super_network_and_the_end_of_a_search_change_the_tag(client: TestClient) -> None:
    """Scores, their comparison with trials, and where the race may begin early: a study shows them all."""
    study_id = stored_study(trials=3, budget=16, **SMALLER, race={"share": 0.25})
    first, order = claim()
    assert order is not None
    scores = by_depth(order)
    steps = [
        lambda: leases.record_one_shot(first.trial_id, first.attempt, scores, seconds=1.0),
        lambda: finished(first, layers=1, score=0.5),
        lambda: finished(claim()[0], layers=2, score=0.6),
        lambda: in_study(study_id, lambda session, study: super_networks.compare(session, study.id)),
        lambda: finished(claim()[0], layers=3, score=0.7),
        lambda: in_study(study_id, study_lifecycle.exhaust),
    ]
    assert changes_with_a_new_tag(client, study_id, steps) > len(steps)
    assert {"one_shot.scored", "one_shot.compared", "search.ended"} <= kinds_of_events(client, study_id)


@pytest.mark.usefixtures("nothing_kept")
def test_a_super_network_that_is_given_up_changes_the_tag(client: TestClient) -> None:
    """It gives back what it would have cost, and says why it was not trained."""
    study_id = stored_study(trials=1, budget=12, **SMALLER)
    claimed, _ = claim()
    steps = [lambda: leases.give_up_one_shot(claimed.trial_id, claimed.attempt, reason="out-of-memory")]
    assert changes_with_a_new_tag(client, study_id, steps)
    assert "one_shot.failed" in kinds_of_events(client, study_id)


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
