"""What a tenant may have at once, also when everybody asks at once."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from api_schemas.access import KeyScope
from api_schemas.trials import ArtifactRecord, ClaimedTrial, TrialReport, TrialState
from service.access.tenants import get_tenant, set_limits
from service.settings import settings
from service.storage.database import transaction
from service.storage.models import Study
from service.study_worker import advance_study
from service.trials import leases
from tests.conftest import OTHER_KEY, study_body
from tests.service.conftest import bearer, new_key
from tests.service.trials.test_ask_and_tell import asked, created, told
from tests.service.trials.test_leases import stored_study


def limit(limits: Mapping[str, int | None], *, tenant: str = "default") -> None:
    with transaction() as session:
        set_limits(session, get_tenant(session, tenant), limits)


def give_to_other_tenant(study_id: str) -> None:
    with transaction() as session:
        other = get_tenant(session, "other").id
        session.execute(update(Study).where(Study.id == study_id).values(tenant_id=other))


def claim_all() -> list[ClaimedTrial]:
    claimed = []
    while (one := leases.claim("w")) is not None:
        claimed.append(one)
    return claimed


def test_what_is_in_use_is_shown_beside_the_limit(client: TestClient) -> None:
    """To admins; what has no limit says so."""
    assert client.get("/v1/limits", headers=new_key(KeyScope.WRITE)).status_code == 403
    limit({"active_studies": 3})
    client.post("/v1/studies", json=study_body())
    client.put("/v1/task_files/a.csv", content="text,label\na,b\n")
    assert client.get("/v1/limits").json() == {
        "active_studies": {"used": 1, "limit": 3},
        "running_trials": {"used": 0, "limit": None},
        "artifact_bytes": {"used": 15, "limit": None},
    }


def test_a_study_too_many_is_refused(client: TestClient) -> None:
    """409 says what to do; a paused study counts; ending one makes room; another tenant is free."""
    limit({"active_studies": 1})
    study_id = client.post("/v1/studies", json=study_body()).json()["id"]
    client.post(f"/v1/studies/{study_id}:pause")
    refused = client.post("/v1/studies", json=study_body())
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/limit-reached")
    assert "1 active studies" in refused.json()["detail"]
    assert client.post("/v1/studies", json=study_body(), headers=bearer(OTHER_KEY)).status_code == 201
    client.post(f"/v1/studies/{study_id}:cancel")
    assert client.post("/v1/studies", json=study_body()).status_code == 201


def test_the_settings_limit_is_for_tenants_without_their_own(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant's own limit goes before it, and can be given back."""
    monkeypatch.setenv("PARETUNE_TENANT_ACTIVE_STUDIES", "0")
    settings.cache_clear()
    assert client.post("/v1/studies", json=study_body()).status_code == 409
    limit({"active_studies": 1})
    assert client.post("/v1/studies", json=study_body()).status_code == 201
    limit({"active_studies": None})
    assert client.post("/v1/studies", json=study_body()).status_code == 409


def test_studies_created_at_once_do_not_pass_the_limit_together(client: TestClient) -> None:
    """They take turns at the tenant's row."""
    limit({"active_studies": 2})
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: client.post("/v1/studies", json=study_body()).status_code, range(4))
        assert sorted(answers) == [201, 201, 409, 409]


def test_a_tenant_full_of_artifacts_starts_nothing_new(client: TestClient) -> None:
    """409 with the bytes; one byte below the limit is below it."""
    stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    record = ArtifactRecord(name="weights", path="weights", sha256="0" * 64, size_bytes=5000)
    metrics = {"score": 0.7, "trainable_parameters": 1000.0}
    report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, artifacts=(record,))
    leases.complete(claimed.trial_id, claimed.attempt, report)
    limit({"artifact_bytes": 5000})
    refused = client.post("/v1/studies", json=study_body())
    assert (refused.status_code, "5,000 bytes of 5,000" in refused.json()["detail"]) == (409, True)
    limit({"artifact_bytes": 5001})
    assert client.post("/v1/studies", json=study_body()).status_code == 201


def test_a_tenant_at_its_running_limit_holds_nobody_up(session: Session) -> None:
    """Its older studies wait, the other tenant's trials start, and an ended trial makes room."""
    for _ in range(2):
        stored_study(trials=2, parallelism=2)
    theirs = stored_study(trials=2, parallelism=2)
    give_to_other_tenant(theirs)
    limit({"running_trials": 1})
    claimed = claim_all()
    assert [one.study_id == theirs for one in claimed].count(True) == 2
    assert len(claimed) == 3
    mine = next(one for one in claimed if one.study_id != theirs)
    leases.release(mine.trial_id, mine.attempt)
    assert len(claim_all()) == 1


def test_who_runs_least_is_served_first(session: Session) -> None:
    """A tenant with a long old queue does not keep the other one waiting."""
    stored_study(trials=4, parallelism=4)
    theirs = stored_study(trials=2, parallelism=2)
    give_to_other_tenant(theirs)
    assert [one.study_id == theirs for one in claim_all()] == [False, True, False, True, False, False]


def test_claims_at_once_do_not_pass_the_limit_together(session: Session) -> None:
    """Neither over two studies of the tenant, nor by packs."""
    for _ in range(2):
        stored_study(trials=8, parallelism=8)
    limit({"running_trials": 3})
    with ThreadPoolExecutor(6) as pool:
        claimed = [one for one in pool.map(leases.claim, "abcdef") if one is not None]
    assert 1 <= len(claimed) <= 3
    more = leases.claim_more("w", like=claimed[0], count=8, fits=lambda _: True)
    assert len(claimed) + len(more) == 3


def test_a_limit_of_none_stops_every_claim(session: Session) -> None:
    """Zero running trials: nothing starts until the operator allows it."""
    stored_study(trials=1)
    limit({"running_trials": 0})
    assert leases.claim("w") is None
    limit({"running_trials": None})
    assert leases.claim("w") is not None


def queued_study(client: TestClient) -> str:
    points = [{"learningRate": rate, "kernel": "rbf"} for rate in (0.1, 0.2, 0.3)]
    study_id = created(client, parallelism=3, starting_points=points)
    advance_study(study_id)
    return study_id


def test_a_tenants_limit_binds_runners_outside(client: TestClient) -> None:
    """They get no more than the rest, of all its studies together; then nothing, until a trial ends."""
    first, second = queued_study(client), queued_study(client)
    limit({"running_trials": 2})
    taken = asked(client, first, count=5)
    assert len(taken) == 2
    assert asked(client, second) == []
    told(client, taken[0], "release")
    assert len(asked(client, second, count=5)) == 1


def test_a_runner_gets_back_what_it_holds_beyond_a_lowered_limit(client: TestClient) -> None:
    """The limit holds back what would begin, and takes nothing away."""
    study_id = queued_study(client)
    taken = asked(client, study_id, count=2)
    limit({"running_trials": 1})
    again = asked(client, study_id, count=3)
    assert [trial["trial_id"] for trial in again] == [trial["trial_id"] for trial in taken]


def test_runners_outside_that_ask_at_once_do_not_pass_the_limit_together(client: TestClient) -> None:
    """They take turns at the tenant's row, like claims."""
    studies = [queued_study(client) for _ in range(2)]
    limit({"running_trials": 3})
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda n: asked(client, studies[n % 2], f"w{n}", count=2), range(4))
        assert sum(map(len, found)) == 3
