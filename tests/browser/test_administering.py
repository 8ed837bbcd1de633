"""Administering in the browser: keys, webhooks, limits and the audit log, for keys of scope admin alone."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert

from service.settings import settings
from service.storage.database import transaction
from service.storage.webhook_models import Delivery
from tests.browser.accessibility import findings, width_on_a_narrow_page
from tests.browser.studies import add_result, asked, create_study
from tests.conftest import API_KEY
from tests.paretune.test_local import until
from tests.service.webhooks.receiver import receiving

LOADS_OF_A_CHANGE_MEANWHILE = """async () => {
  const { nextTask, startPolling } = await import("/static/polling.js");
  const loads = [];
  const polling = startPolling(() => new Promise((answer) => loads.push(answer)), () => true);
  polling.again();
  loads[0](true);
  await nextTask();
  polling.stop();
  return loads.length;
}"""
# What had begun, and what was read, when asking again was answered.
ASKED_AGAIN_MEANWHILE = """async () => {
  const { nextTask, startPolling } = await import("/static/polling.js");
  const loads = [];
  const seen = [];
  const polling = startPolling(() => new Promise((answer) => loads.push(answer)), () => true);
  polling.again().then(() => seen.push("answered"));
  loads[0](true);
  await nextTask();
  seen.push(`${loads.length} loads`);
  loads[1](true);
  await nextTask();
  polling.stop();
  return seen;
}"""


def test_asking_again_waits_for_a_load_that_began_afterwards(page: Page, server_url: str) -> None:
    """The load under way may have read what was there before; its end is not the answer."""
    page.goto(server_url)
    assert page.evaluate(ASKED_AGAIN_MEANWHILE) == ["2 loads", "answered"]


def test_what_was_given_up_is_sent_again(
    page: Page, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a question, the receiver gets the event once more; before, it had got it once."""
    monkeypatch.setenv("PARETUNE_WEBHOOK_NETWORKS", '["127.0.0.0/8", "::1/128"]')
    monkeypatch.setenv("PARETUNE_WEBHOOK_HTTP", "true")
    settings.cache_clear()
    with receiving() as receiver:
        made = httpx.post(
            f"{server_url}/v1/webhooks",
            json={"url": receiver.url, "event_types": ["study.created"]},
            headers={"Authorization": f"Bearer {API_KEY}"},
        ).json()
        study_id = create_study(server_url)
        until(lambda: len(receiver.received) == 1 and not _waiting(server_url))
        _give_up(study_id, made["id"])
        page.goto(f"{server_url}/#key={API_KEY}&admin")
        page.get_by_role("button", name="Deliveries: http").click()
        row = page.get_by_test_id("deliveries").locator("tbody tr")
        expect(row).to_contain_text("given up")
        row.get_by_role("button", name="Send again").click()
        with page.expect_response("**:replay") as answer:
            page.get_by_test_id("question-yes").click()
        assert answer.value.json() == {"scheduled": 1}
        until(lambda: len(receiver.received) == 2)
        first, second = (body for _, body in receiver.received)
        assert second == first


def _waiting(server_url: str) -> int:
    [webhook] = asked(server_url, "/webhooks")["webhooks"]
    return int(webhook["waiting"])


def _give_up(study_id: str, webhook_id: str) -> None:
    with transaction() as session:
        session.execute(
            insert(Delivery).values(study_id=study_id, sequence=1, webhook_id=webhook_id, attempts=10)
        )


def test_an_admin_makes_and_revokes_what_opens_the_tenant(page: Page, server_url: str) -> None:
    """A secret is shown once and works; what is revoked does not; every step stands in the log."""
    study_id = create_study(server_url)
    page.goto(f"{server_url}/#key={API_KEY}")
    assert page.evaluate(LOADS_OF_A_CHANGE_MEANWHILE) == 2
    page.get_by_test_id("administer").click()
    page.get_by_test_id("key-create").get_by_role("button").click()
    name = page.locator(".field", has=page.get_by_test_id("key-name"))
    expect(name.get_by_role("alert")).to_be_visible()
    page.get_by_test_id("key-name").fill("a reader")
    page.get_by_test_id("key-scope").select_option("read")
    page.keyboard.press("Enter")
    page.get_by_test_id("key-create").get_by_role("button").click()
    expect(page.get_by_test_id("secret")).not_to_have_value("")
    secret = page.get_by_test_id("secret").input_value()
    reader = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{server_url}/v1/keys/current", headers=reader).json()["scope"] == "read"
    page.get_by_test_id("webhook-url").fill("https://1.1.1.1/hook")
    page.get_by_test_id("webhook-events").fill("study.succeeded, no.such")
    page.keyboard.press("Enter")
    events = page.locator(".field", has=page.get_by_test_id("webhook-events"))
    expect(events.get_by_role("alert")).to_be_visible()
    page.get_by_test_id("webhook-events").fill("study.succeeded")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("webhooks")).to_contain_text("https://1.1.1.1/hook")
    assert findings(page) == []
    assert width_on_a_narrow_page(page) <= 400

    _deliveries(page, server_url, study_id)
    limits = asked(server_url, "/limits")
    expect(page.get_by_test_id("limits").locator("tbody tr").first).to_have_text(
        f"Active studies{limits['active_studies']['used']}no limit"
    )
    page.get_by_role("button", name="Revoke: a reader").click()
    page.get_by_test_id("question-yes").click()
    expect(page.get_by_test_id("keys")).to_contain_text("revoked")
    assert httpx.get(f"{server_url}/v1/studies", headers=reader).status_code == 401
    page.get_by_role("button", name="Delete: https").click()
    page.get_by_test_id("question-yes").click()
    expect(page.get_by_test_id("webhooks")).to_contain_text("No webhook yet")
    log = [event["type"] for event in asked(server_url, "/audit_events")["audit_events"]]
    assert log[:4] == ["webhook.deleted", "key.revoked", "webhook.created", "key.created"]
    expect(page.get_by_test_id("audit").locator("tbody tr td:nth-child(2)")).to_have_text(log)


def _deliveries(page: Page, server_url: str, study_id: str) -> None:
    """What has not arrived stands there one by one."""
    [webhook] = asked(server_url, "/webhooks")["webhooks"]
    _give_up(study_id, webhook["id"])
    page.get_by_role("button", name="Deliveries: https").click()
    row = page.get_by_test_id("deliveries").locator("tbody tr")
    expect(row).to_contain_text("given up")
    [delivery] = asked(server_url, f"/webhooks/{webhook['id']}/deliveries")["deliveries"]
    expect(row).to_contain_text(f"{delivery['type']}, number {delivery['sequence']}")
    expect(row.get_by_role("link", name=study_id)).to_be_visible()
    expect(row).to_contain_text(str(delivery["attempts"]))
    assert findings(page) == []
    assert width_on_a_narrow_page(page) <= 400
    expect(row.get_by_role("button", name="Send again")).to_be_visible()


def test_a_key_is_offered_what_it_may_do(page: Page, server_url: str) -> None:
    """A reader starts, steers and administers nothing; who types the address is told why, with a way out."""
    made = httpx.post(
        f"{server_url}/v1/keys",
        json={"name": "a reader", "scope": "read"},
        headers={"Authorization": f"Bearer {API_KEY}"},
    ).json()
    with page.expect_response("**/v1/keys/current"):
        page.goto(f"{server_url}/#key={made['secret']}")
    expect(page.get_by_test_id("no-study")).to_be_visible()
    expect(page.get_by_test_id("new-study")).to_be_hidden()
    expect(page.get_by_test_id("administer")).to_be_hidden()
    for address, scope in (("new", "write"), ("admin", "admin")):
        page.goto(f"{server_url}/#{address}")
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(f"scope '{scope}'")
        expect(page.get_by_role("heading", name="This key may not do that")).to_be_visible()
    page.locator("main").get_by_role("link", name="All studies").click()
    expect(page.get_by_test_id("no-study")).to_be_visible()
    _read(page, server_url)


def _read(page: Page, server_url: str) -> None:
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 1000)
    page.goto(f"{server_url}/#study={study_id}")
    page.get_by_test_id("pin-0").click()
    expect(page.get_by_test_id("pinned").get_by_role("columnheader")).to_have_text(["Trial 0"])
    expect(page.get_by_role("link", name=re.compile("Clone|Extend"))).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Pause|Resume|Cancel|Accept"))).to_have_count(0)
