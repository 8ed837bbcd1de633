"""A study takes new settings while it runs, and refuses those that come too late."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from service.storage.models import Event
from tests.service.trials.test_ask_and_tell import created
from tests.service.trials.test_leases import stored_study


def patched(client: TestClient, study_id: str, **changes: object) -> Any:
    return client.patch(f"/v1/studies/{study_id}", json=changes, headers={"If-Match": "*"})


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 3},
        {"parallelism": 0},
        {"display_name": ""},
        {"tags": [""]},
        {"proposals": {"proposer": "paretune"}},
    ],
)
def test_what_cannot_change_is_refused(client: TestClient, changes: dict[str, object]) -> None:
    """422, and nothing changes."""
    study_id = stored_study(trials=1)
    before = client.get(f"/v1/studies/{study_id}").json()
    assert patched(client, study_id, **changes).status_code == 422
    assert client.get(f"/v1/studies/{study_id}").json() == before


def test_a_budget_does_not_shrink(client: TestClient) -> None:
    """422 that says how large it is."""
    refused = patched(client, stored_study(trials=1, budget=4), budget={"trials": 3})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"pointer": "/budget/trials", "detail": "The budget is 4 trials; it can grow, not shrink."}
    ]


def test_an_ended_study_takes_a_new_name_only(client: TestClient) -> None:
    """Anything else would never be read again."""
    study_id = stored_study(trials=1)
    client.post(f"/v1/studies/{study_id}:cancel")
    for changes in ({"parallelism": 2}, {"budget": {"trials": 9}}, {"early_stopping": "never"}):
        assert patched(client, study_id, **changes).status_code == 409
    assert patched(client, study_id, display_name="old").json()["display_name"] == "old"


def test_notes_and_tags_are_its_owners_whatever_the_state(client: TestClient) -> None:
    """They are written at any time, each tag once, and taken over by a clone."""
    study_id = stored_study(trials=1)
    client.post(f"/v1/studies/{study_id}:cancel")
    shown = patched(client, study_id, notes="kept for the paper", tags=["paper", "minilm", "paper"]).json()
    assert (shown["notes"], shown["tags"]) == ("kept for the paper", ["paper", "minilm"])
    clone = client.post(f"/v1/studies/{study_id}:clone", json={"edits": {"tags": ["again"]}}).json()
    assert (clone["notes"], clone["tags"]) == ("kept for the paper", ["again"])
    assert patched(client, study_id, tags=[]).json()["tags"] == []


def test_a_running_study_takes_new_settings(client: TestClient, session: Session) -> None:
    """All at once; the same again changes nothing, and leaves no event."""
    study_id = stored_study(trials=1)
    changes = {
        "display_name": "new", "parallelism": 3, "budget": {"trials": 9},
        "early_stopping": "never", "proposals": {"ahead": 5},
    }  # fmt: skip
    was = client.get(f"/v1/studies/{study_id}").json()
    shown = patched(client, study_id, **changes).json()
    assert {name: shown[name] for name in changes} == {
        **changes, "proposals": was["proposals"] | {"ahead": 5},
    }  # fmt: skip
    assert patched(client, study_id, **changes).json() == shown
    types = session.scalars(select(Event.type).where(Event.study_id == study_id)).all()
    assert types.count(EventType.STUDY_UPDATED) == types.count(EventType.STUDY_EXTENDED) == 1


def test_a_custom_study_never_stops_trials(client: TestClient) -> None:
    """422 that says so, and nothing changes; asking for what it has already is no mistake."""
    study_id = created(client)
    refused = patched(client, study_id, early_stopping="hypervolume", display_name="new")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-study")
    assert [item["pointer"] for item in refused.json()["errors"]] == ["/early_stopping"]
    assert client.get(f"/v1/studies/{study_id}").json()["display_name"] == "a study of my own"
    assert patched(client, study_id, early_stopping="never").json()["early_stopping"] == "never"
