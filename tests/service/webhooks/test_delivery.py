"""Webhooks from the event to the receiver: refused, retried, given up, replayed, and never lost."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from api_schemas.events import EventRead, EventType
from service import settings
from service.access.tenants import get_tenant
from service.api.app import create_app
from service.storage.database import engine, transaction
from service.storage.event_log import record_event
from service.storage.models import Event, Study
from service.storage.webhook_models import Delivery
from service.webhooks import outbox, registry
from service.webhooks.sender import ATTEMPT_SECONDS, send_webhooks, start_batches
from service.webhooks.signatures import signed_headers
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.conftest import bearer
from tests.service.trials.test_leases import stored_study
from tests.service.webhooks.made import shown, webhook
from tests.service.webhooks.receiver import Receiver


def default_tenant() -> str:
    with transaction() as session:
        return get_tenant(session, "default").id


def is_waiting() -> bool:
    # In a transaction of its own: within one, the view stands still.
    with transaction() as session:
        query = text("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(session.scalar(query))


def send() -> None:
    """Do one round of the server's task."""

    async def one_round() -> None:
        sending: dict[str, asyncio.Task[None]] = {}
        await start_batches(sending)
        await asyncio.gather(*sending.values())

    asyncio.run(one_round())


async def serve_until(done: Callable[[], bool]) -> None:
    """Run the server's task, as long as it does not end by itself."""
    task = asyncio.create_task(send_webhooks())
    async with asyncio.timeout(30):
        while not done() and not task.done():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def make_due() -> None:
    with transaction() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.next_attempt_at.is_not(None))
            .values(next_attempt_at=func.clock_timestamp())
        )


def rename(table: str, *, to: str) -> None:
    with transaction() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))


def seconds_to_wait() -> float:
    with transaction() as session:
        query = select(func.extract("epoch", func.max(Delivery.next_attempt_at) - func.clock_timestamp()))
        return float(session.scalars(query).one())


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://169.254.169.254/latest", "http://1.1.1.1/"])
def test_an_address_that_is_not_public_is_refused(service_environment: None, url: str) -> None:
    """422 that points at the URL, and nothing is stored."""
    client = TestClient(create_app(), headers=bearer(API_KEY))
    answer = client.post("/v1/webhooks", json={"url": url})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/url")
    assert client.get("/v1/webhooks").json()["webhooks"] == []


def test_a_name_that_changes_its_address_gains_nothing(
    client: TestClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when it is registered, not when it is sent: nothing is connected to."""
    made = webhook(client, receiver)
    monkeypatch.setenv("PARETUNE_WEBHOOK_NETWORKS", "[]")
    settings.settings.cache_clear()
    stored_study(trials=0, budget=1)
    send()
    assert receiver.received == []
    assert "not a public address" in str(shown(client, made)["last_error"])


def test_the_connection_goes_to_the_address_that_was_looked_at(
    client: TestClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that answers otherwise the second time is not asked a second time."""
    webhook(client, receiver, "study.created")
    stored_study(trials=0, budget=1)
    port = int(receiver.url.split(":")[2].split("/")[0])
    asked: list[object] = []

    def look_up(host: object, *rest: object, **more: object) -> list[object]:
        if host == "localhost":
            asked.append(host)
        address = "127.0.0.1" if host != "localhost" or len(asked) == 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", look_up)
        send()
    assert len(asked) == 1
    assert len(receiver.received) == 1
    assert receiver.received[0][0]["host"] == f"localhost:{port}"


def test_a_redirect_is_a_failure(client: TestClient, receiver: Receiver) -> None:
    """It is not followed, wherever it leads."""
    made = webhook(client, receiver, "study.created")
    receiver.answers = [302]
    stored_study(trials=0, budget=1)
    send()
    assert len(receiver.received) == 1
    assert shown(client, made)["last_error"] == "The receiver answered 302."


def test_failures_are_tried_again_ever_later_and_then_given_up(
    client: TestClient, receiver: Receiver
) -> None:
    """5 s, 5 min, 30 min, ... with at most a tenth more; a replay starts over under the same id."""
    made = webhook(client, receiver, "study.created")
    receiver.answers = [500]
    study_id = stored_study(trials=0, budget=1)
    for pause in outbox.PAUSES:
        send()
        low = pause / timedelta(seconds=1)
        assert low - 5 < seconds_to_wait() <= low * (1 + outbox.JITTER)
        send()
        make_due()
    send()
    assert len(receiver.received) == len(outbox.PAUSES) + 1 == 10
    found = shown(client, made)
    assert (found["waiting"], found["given_up"]) == (0, 1)
    (lost,) = client.get(f"/v1/webhooks/{made['id']}/deliveries").json()["deliveries"]
    assert (lost["type"], lost["attempts"], lost["next_attempt_at"]) == ("study.created", 10, None)
    receiver.answers = [200]
    answer = client.post(f"/v1/webhooks/{made['id']}:replay", json={"study_id": study_id})
    assert answer.json() == {"scheduled": 1}
    send()
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    found = shown(client, made)
    assert (found["waiting"], found["given_up"], found["last_error"]) == (0, 0, None)


def test_a_sender_that_dies_is_replaced(client: TestClient, receiver: Receiver) -> None:
    """What it had claimed is sent by the next, once its time is over."""
    webhook(client, receiver, "study.created")
    stored_study(trials=0, budget=1)
    ((lost,),) = outbox.claim(busy=frozenset(), most_webhooks=1)
    send()
    assert receiver.received == []
    assert seconds_to_wait() > outbox.BATCH * ATTEMPT_SECONDS
    make_due()
    send()
    assert len(receiver.received) == 1
    outbox.settle_refused(lost, reason="late")  # settles nothing


def test_a_receiver_that_is_gone_gets_nothing_more(client: TestClient, receiver: Receiver) -> None:
    """410 disables the webhook; a replay says so."""
    made = webhook(client, receiver, "study.created")
    receiver.answers = [410]
    study_id = stored_study(trials=0, budget=1)
    send()
    make_due()
    stored_study(trials=0, budget=1)
    send()
    assert len(receiver.received) == 1
    assert shown(client, made)["disabled_at"] is not None
    refused = client.post(f"/v1/webhooks/{made['id']}:replay", json={"study_id": study_id})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-webhook")


def test_an_event_that_is_rolled_back_is_not_sent(client: TestClient, receiver: Receiver) -> None:
    """The outbox is written by the transaction of the event."""
    webhook(client, receiver, "study.paused")
    study_id = stored_study(trials=0, budget=1)
    with Session(engine()) as session:
        record_event(session, session.get_one(Study, study_id), EventType.STUDY_PAUSED)
        session.flush()
        assert session.scalar(select(func.count()).select_from(Delivery)) == 1
        session.rollback()
    send()
    assert receiver.received == []


def test_a_webhook_that_is_being_deleted_holds_up_no_event(client: TestClient, receiver: Receiver) -> None:
    """The event waits for the end of the deletion, and is then written without a delivery."""
    made = webhook(client, receiver)
    tenant_id = default_tenant()
    with ThreadPoolExecutor(1) as pool, Session(engine()) as session:
        registry.delete_webhook(session, made["id"], tenant_id=tenant_id)
        session.flush()
        writer = pool.submit(stored_study, trials=0, budget=1)
        while not (is_waiting() or writer.done()):
            time.sleep(0.01)
        session.commit()
        assert writer.result(timeout=20).startswith("std_")
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0


def test_what_waits_outlives_its_study(client: TestClient, receiver: Receiver) -> None:
    """The message is that of the event before the deletion; what was given up goes with the study."""
    made = webhook(client, receiver, "study.created", "study.cancelled")
    receiver.answers = [500, 204]
    study_id = stored_study(trials=0, budget=1)
    send()
    with transaction() as session:
        session.execute(update(Delivery).values(next_attempt_at=None))
    assert client.post(f"/v1/studies/{study_id}:cancel").status_code == 200
    with transaction() as session:
        event = session.scalars(select(Event).where(Event.type == EventType.STUDY_CANCELLED)).one()
        shown_before = EventRead.model_validate(event).model_dump(mode="json")
    assert client.delete(f"/v1/studies/{study_id}").status_code == 204
    assert (shown(client, made)["waiting"], shown(client, made)["given_up"]) == (1, 0)
    send()
    _, (headers, body) = receiver.received
    assert headers["webhook-id"] == f"{study_id}_{shown_before['sequence']}"
    assert json.loads(body)["data"] == shown_before
    assert shown(client, made)["waiting"] == 0


def test_a_study_deleted_while_its_events_are_claimed_loses_none(
    client: TestClient, receiver: Receiver
) -> None:
    """A sender that dies with them is replaced, though the events are gone."""
    webhook(client, receiver, "study.created")
    study_id = stored_study(trials=0, budget=1)
    client.post(f"/v1/studies/{study_id}:cancel")
    ((claimed,),) = outbox.claim(busy=frozenset(), most_webhooks=1)
    client.delete(f"/v1/studies/{study_id}")
    make_due()
    ((again,),) = outbox.claim(busy=frozenset(), most_webhooks=1)
    assert (again.event, again.attempts) == (claimed.event, 2)
    outbox.settle_accepted(again)
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0


def test_what_is_given_up_after_its_study_leaves_nothing(client: TestClient, receiver: Receiver) -> None:
    """Nobody could replay it."""
    made = webhook(client, receiver, "study.created")
    receiver.answers = [500]
    study_id = stored_study(trials=0, budget=1)
    client.post(f"/v1/studies/{study_id}:cancel")
    client.delete(f"/v1/studies/{study_id}")
    with transaction() as session:
        session.execute(update(Delivery).values(attempts=len(outbox.PAUSES)))
    send()
    assert len(receiver.received) == 1
    assert (shown(client, made)["waiting"], shown(client, made)["given_up"]) == (0, 0)


def test_messages_are_signed_and_hold_the_event(client: TestClient, receiver: Receiver) -> None:
    """Every event of the types asked for, of the tenant's studies alone; the secret verifies it."""
    made = webhook(client, receiver, "trial.queued")
    assert (
        client.post("/v1/webhooks", json={"url": receiver.url}, headers=bearer(OTHER_KEY)).status_code == 201
    )
    study_id = stored_study(trials=3)
    send()
    assert len(receiver.received) == 3
    for headers, body in receiver.received:
        message = json.loads(body)
        assert (message["type"], message["data"]["study_id"]) == ("trial.queued", study_id)
        assert headers["webhook-id"] == f"{study_id}_{message['data']['sequence']}"
        signed = signed_headers(
            made["secret"], body,
            message_id=headers["webhook-id"], timestamp=int(headers["webhook-timestamp"]),
        )  # fmt: skip
        assert signed.items() <= headers.items()
    assert shown(client, made)["waiting"] == 0


def test_a_replay_sends_what_came_before_the_webhook(client: TestClient, receiver: Receiver) -> None:
    """After the number that is named; another tenant's study is 422."""
    study_id = stored_study(trials=2)
    made = webhook(client, receiver)
    path = f"/v1/webhooks/{made['id']}:replay"
    answer = client.post(path, json={"study_id": study_id, "after_sequence": 1})
    with transaction() as session:
        assert answer.json() == {"scheduled": session.scalar(select(func.count()).select_from(Event)) - 1}
    send()
    assert [json.loads(body)["data"]["sequence"] for _, body in receiver.received] == [
        *range(2, answer.json()["scheduled"] + 2)
    ]
    other = client.post("/v1/webhooks", json={"url": receiver.url}, headers=bearer(OTHER_KEY)).json()
    refused = client.post(
        f"/v1/webhooks/{other['id']}:replay", json={"study_id": study_id}, headers=bearer(OTHER_KEY)
    )
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/study_id")


def test_the_task_of_the_server_sends_more_than_a_batch(client: TestClient, receiver: Receiver) -> None:
    """Without waiting a sweep between batches, and it ends when it is cancelled."""
    made = webhook(client, receiver)
    stored_study(trials=2 * outbox.BATCH)

    asyncio.run(serve_until(lambda: len(receiver.received) >= 2 * outbox.BATCH))
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) >= 2 * outbox.BATCH
    assert made["url"] == receiver.url


def test_an_unexpected_error_of_the_database_does_not_end_the_sending(
    client: TestClient,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is said, and what is due is sent once the database is well again."""
    monkeypatch.setenv("PARETUNE_SWEEP_SECONDS", "0.05")
    settings.settings.cache_clear()
    webhook(client, receiver, "study.created")
    stored_study(trials=0, budget=1)
    rename("deliveries", to="lost")
    mended: list[str] = []

    def arrived() -> bool:
        if not mended and "webhooks were not looked for" in capsys.readouterr().out:
            rename("lost", to="deliveries")
            mended.append("deliveries")
        return bool(receiver.received)

    asyncio.run(serve_until(arrived))
    assert len(receiver.received) == 1
