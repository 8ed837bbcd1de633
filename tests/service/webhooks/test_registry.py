"""Webhooks are made, listed with what they have not got, counted and deleted."""

from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service.storage.database import transaction
from service.storage.webhook_models import Delivery
from tests.service.trials.test_leases import stored_study
from tests.service.webhooks.made import webhook
from tests.service.webhooks.receiver import Receiver


def test_what_has_not_arrived_is_listed_page_by_page(client: TestClient, receiver: Receiver) -> None:
    """The last event first, each once, with what its study's log says of it; a broken token is refused."""
    made = webhook(client, receiver)
    study_id = stored_study(trials=2)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    found, token = [], ""
    while token is not None:
        page = client.get(f"{path}?page_size=2{token and f'&page_token={token}'}").json()
        found += page["deliveries"]
        token = page["next_page_token"]
    events = client.get(f"/v1/studies/{study_id}/events").json()["events"]
    said = ("study_id", "sequence", "type", "recorded_at")
    assert [[one[name] for name in said] for one in found] == [
        [event[name] for name in said] for event in reversed(events)
    ]
    assert {(one["attempts"], one["next_attempt_at"] is None) for one in found} == {(0, False)}
    assert client.get(f"{path}?page_token=7").status_code == 422


def test_making_and_deleting_are_accounted_for(client: TestClient, receiver: Receiver) -> None:
    """Audit events with the URL; the secret is in neither, nor in any later answer."""
    made = webhook(client, receiver)
    stored_study(trials=1)
    listed = client.get("/v1/webhooks")
    assert made["secret"] not in listed.text
    assert listed.json()["webhooks"][0]["waiting"] > 0
    assert client.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    assert client.delete(f"/v1/webhooks/{made['id']}").status_code == 404
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0
    log = client.get("/v1/audit_events")
    assert made["secret"] not in log.text
    found = [event for event in log.json()["audit_events"] if event["subject"] == made["id"]]
    assert [event["type"] for event in found] == ["webhook.deleted", "webhook.created"]
    assert found[0]["body"] == {"url": receiver.url}


def test_a_tenant_may_have_so_many_webhooks(client: TestClient, receiver: Receiver) -> None:
    """409 says to delete one."""
    for _ in range(20):
        webhook(client, receiver)
    answer = client.post("/v1/webhooks", json={"url": receiver.url})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/limit-reached")
