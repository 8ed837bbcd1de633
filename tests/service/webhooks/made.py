"""Webhooks as a test makes them and looks at them."""

from fastapi.testclient import TestClient

from tests.service.webhooks.receiver import Receiver


def webhook(client: TestClient, receiver: Receiver, *types: str) -> dict[str, str]:
    answer = client.post("/v1/webhooks", json={"url": receiver.url, "event_types": types})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def shown(client: TestClient, made: dict[str, str]) -> dict[str, object]:
    found: dict[str, object] = client.get(f"/v1/webhooks/{made['id']}").json()
    return found
