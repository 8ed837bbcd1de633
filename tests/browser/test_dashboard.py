"""The dashboard in a real browser, on the real service: keys, the list, and when it asks for news."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.studies import add_result, create_study, open_study, poll, requests_of_a_poll
from tests.conftest import API_KEY


@pytest.mark.parametrize(
    ("key", "reason"), [("pt_wrong", "This API key is not known here"), ("two%20words", "no spaces")]
)
def test_a_wrong_key_leads_back_to_the_form_with_the_reason(
    page: Page, server_url: str, key: str, reason: str
) -> None:
    """The form says what is wrong; the right key then opens the list."""
    page.goto(f"{server_url}/#key={key}")
    expect(page.get_by_test_id("key-problem")).to_contain_text(reason)
    page.get_by_test_id("api-key").fill("two words")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("key-problem")).to_contain_text("no spaces")
    page.get_by_test_id("api-key").fill(API_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("no-study")).to_be_visible()


def test_the_key_leaves_the_address_bar_and_stays_in_the_tab(page: Page, server_url: str) -> None:
    """It is moved to the session, so a reload needs no key in the address."""
    page.goto(f"{server_url}/#key={API_KEY}")
    expect(page.get_by_test_id("no-study")).to_contain_text("paretune run examples/rotten-tomatoes.yaml")
    assert page.url == f"{server_url}/"
    page.reload()
    expect(page.get_by_test_id("no-study")).to_be_visible()
    page.get_by_test_id("forget-key").click()
    page.reload()
    expect(page.get_by_test_id("key-form")).to_be_visible()


def test_a_name_that_looks_like_markup_stays_text(page: Page, server_url: str) -> None:
    """Neither the list nor the study's page makes an element of it."""
    name = "<img src=x onerror=\"document.title='owned'\">"
    study_id = create_study(server_url, display_name=name)
    page.goto(f"{server_url}/#key={API_KEY}")
    page.get_by_test_id(f"study-{study_id}").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_test_id("study-name")).to_have_text(name)
    assert page.locator("main img").count() == 0
    assert page.title() == f"{name} · Paretune"


def test_a_service_that_goes_away_is_noticed_and_found_again(page: Page, server_url: str) -> None:
    """What was shown stays, with a banner that goes when the service is back."""
    open_study(page, server_url, create_study(server_url))
    expect(page.get_by_test_id("liveness")).to_have_text("Live")
    page.context.set_offline(True)
    poll(page)
    expect(page.get_by_test_id("connection-problem")).to_contain_text("does not answer")
    expect(page.get_by_test_id("liveness")).to_be_hidden()
    expect(page.get_by_test_id("study-name")).to_have_text("a study")
    page.context.set_offline(False)
    poll(page)
    expect(page.get_by_test_id("connection-problem")).to_be_hidden()
    expect(page.get_by_test_id("liveness")).to_have_text("Live")


def test_the_list_shows_state_progress_and_the_best(page: Page, server_url: str) -> None:
    """Newest first, and each study with its own numbers."""
    older, newer = (
        create_study(server_url, display_name="older"),
        create_study(server_url, display_name="newer"),
    )
    add_result(older, 0.7, 1000)
    add_result(older, 0.8125, 9000)
    page.goto(f"{server_url}/#key={API_KEY}")
    row = page.get_by_test_id(f"study-{older}")
    expect(row).to_contain_text("2 / 4 trials")
    expect(row).to_contain_text("0.813")
    expect(row.locator(".chip")).to_have_text("active")
    assert [text.split("\n")[0] for text in page.locator("tbody tr").all_inner_texts()] == ["newer", "older"]
    add_result(newer, 0.5, 10)
    poll(page)
    expect(page.get_by_test_id(f"study-{newer}")).to_contain_text("0.500")


def test_a_study_that_has_ended_is_not_asked_about_again(page: Page, server_url: str) -> None:
    """What the last event brings is everything; after it the page is quiet."""
    study_id = create_study(server_url, budget={"trials": 1})
    open_study(page, server_url, study_id)
    add_result(study_id, 0.8, 1000)
    expect(page.get_by_test_id("study-state")).to_have_text("succeeded")
    expect(page.get_by_test_id("liveness")).to_have_text("Finished")
    expect(page.get_by_test_id("trial-0").locator(".chip")).to_have_text("succeeded")
    assert requests_of_a_poll(page) == []


def test_a_hidden_tab_asks_nothing_until_it_is_seen_again(page: Page, server_url: str) -> None:
    """The browser says when the tab is hidden and when it is back."""
    study_id = create_study(server_url)
    open_study(page, server_url, study_id)
    become = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); "
    become += "document.dispatchEvent(new Event('visibilitychange')); }"
    expect(page.get_by_test_id("liveness")).to_have_text("Live")
    page.evaluate(become, True)
    assert requests_of_a_poll(page) == []
    with page.expect_request(f"**/v1/studies/{study_id}/events") as request:
        page.evaluate(become, False)
    assert request.value.headers["last-event-id"].isdecimal()


def test_without_a_stream_the_page_asks_and_says_so(page: Page, server_url: str) -> None:
    """Results appear all the same; once the stream comes through, it is followed again."""
    study_id = create_study(server_url)
    page.route("**/events", lambda route: route.abort())
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("liveness")).to_have_text("Asks every 2 s")
    add_result(study_id, 0.8, 1000)
    poll(page)
    expect(page.get_by_test_id("trial-0")).to_be_visible()
    expect(page.get_by_test_id("liveness")).to_have_text("Asks every 2 s")
    page.unroute("**/events")
    page.clock.run_for(10_000)
    expect(page.get_by_test_id("liveness")).to_have_text("Live")
    add_result(study_id, 0.9, 2000)
    expect(page.get_by_test_id("trial-1")).to_be_visible()
