"""From which former studies a posted one may learn."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate
from service.errors import InvalidStudy
from service.storage.models import Study, Tenant
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.studies.warm_start import with_former_studies
from tests.conftest import make_study_request, study_body
from tests.service.trials.test_lifecycle import finish, queue, start, succeeded

LATENCY_FIRST = [
    {"metric": "latency_ms", "direction": "minimize"},
    {"metric": "score", "direction": "maximize"},
]
RATE_ONLY = {"parameters": [{"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2}]}


def tenant(session: Session, name: str = "default") -> str:
    return session.scalars(select(Tenant.id).where(Tenant.name == name)).one()


def ended(session: Session, *, owner: str = "default", **changes: object) -> Study:
    """A study that has run one trial and was cancelled."""
    request = make_study_request(**changes)
    tenant_id = tenant(session, owner)
    study = create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)
    finish(session, study, start(session, study, queue(session, study)), succeeded())
    steering.cancel(session, study)
    session.flush()
    return study


def settled(session: Session, studies: Any, **changes: object) -> tuple[str, ...]:
    """The studies that a posted one is left with."""
    request = make_study_request(proposals={"warm_start": {"studies": studies}}, **changes)
    tenant_id = tenant(session)
    valid = with_former_studies(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)
    assert valid.request.proposals.warm_start is not None
    found = valid.request.proposals.warm_start.studies
    assert found != "auto"
    return tuple(found)


@pytest.mark.parametrize("owner", [None, "other"])
def test_an_unknown_study_and_another_tenants_are_refused_alike(session: Session, owner: str | None) -> None:
    """The same sentence, with the place in the list: nobody learns that the other one exists."""
    study_id = "std_0" if owner is None else ended(session, owner=owner).id
    own = ended(session).id
    with pytest.raises(InvalidStudy) as refused:
        settled(session, [own, study_id])
    (error,) = refused.value.errors
    assert error.pointer == "/proposals/warm_start/studies/1"
    assert error.detail == f"There is no study '{study_id}'. GET /v1/studies lists yours."


def test_a_study_of_other_parameters_is_refused(session: Session) -> None:
    """Nothing can be learned from it; another depth or task is no other parameter."""
    other = ended(session, search_space=RATE_ONLY)
    with pytest.raises(InvalidStudy) as refused:
        settled(session, [other.id])
    assert "searches no parameter" in refused.value.errors[0].detail


def test_named_studies_are_kept_once_in_their_order(session: Session) -> None:
    """Running ones too."""
    first, second = ended(session).id, ended(session).id
    assert settled(session, [second, first, second]) == (second, first)
    assert settled(session, []) == ()


def test_auto_takes_what_is_alike_and_newest(session: Session) -> None:
    """Ended with a result, the tenant's own, a shared parameter, the same first objective; five at most."""
    alike = [ended(session).id for _ in range(6)]
    ended(session, owner="other")
    ended(session, search_space=RATE_ONLY)
    ended(session, objectives=LATENCY_FIRST)
    tenant_id = tenant(session)
    for request in (make_study_request(), make_study_request()):
        study = create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)
    steering.cancel(session, study)
    session.flush()
    assert settled(session, "auto") == tuple(sorted(alike, reverse=True)[:5])


def test_auto_without_former_studies_is_an_empty_list(session: Session) -> None:
    """The first study of a tenant starts cold."""
    assert settled(session, "auto") == ()


def test_what_was_settled_is_read_back_over_http(client: TestClient) -> None:
    """`auto` is shown as the studies that it found; an unknown one is a problem with a pointer."""
    first = client.post("/v1/studies", json=study_body()).json()["id"]
    body = study_body(proposals={"warm_start": {"studies": [first], "mode": "pareto"}})
    expected = {"studies": [first], "mode": "pareto"}
    assert client.post("/v1/studies", json=body).json()["proposals"]["warm_start"] == expected
    body = study_body(proposals={"warm_start": {}})
    expected = {"studies": [], "mode": "model"}
    assert client.post("/v1/studies", json=body).json()["proposals"]["warm_start"] == expected
    refused = client.post("/v1/studies", json=study_body(proposals={"warm_start": {"studies": ["std_1"]}}))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/proposals/warm_start/studies/0"
    assert client.get("/v1/studies").json()["studies"][-1]["proposals"]["warm_start"] is None


def test_a_study_that_did_not_ask_learns_from_nobody(
    session: Session, study_request: Callable[..., StudyCreate]
) -> None:
    """Transfer is on by choice."""
    ended(session)
    valid = validate_study(study_request(), tenant_id=tenant(session))
    assert with_former_studies(session, valid, tenant_id=tenant(session)) is valid
