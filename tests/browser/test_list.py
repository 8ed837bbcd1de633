"""The list of studies: found again by words, tags and states, in an order of choice, noted on and deleted."""

import httpx
from playwright.sync_api import Page, expect

from tests.browser.accessibility import findings, width_on_a_narrow_page
from tests.browser.studies import add_result, asked, create_study
from tests.conftest import API_KEY

HEADERS = {"Authorization": f"Bearer {API_KEY}"}


def names(page: Page) -> list[str]:
    return page.get_by_test_id("studies").locator("tbody th > a").all_inner_texts()


def test_studies_are_found_noted_on_and_deleted(page: Page, server_url: str) -> None:
    """Each filter alone, then what its owner writes, then what cannot be taken back, which asks first."""
    best = create_study(server_url, display_name="beta", tags=["paper"])
    for score, trained in ((0.6, 500), (0.7, 1000), (0.9, 9000)):
        add_result(best, score, trained)
    other = create_study(server_url, display_name="alpha", notes="for the phone")
    add_result(other, 0.8, 9000)
    httpx.post(f"{server_url}/v1/studies/{other}:cancel", headers=HEADERS)
    page.goto(f"{server_url}/#key={API_KEY}")
    expect(page.get_by_test_id(f"study-{best}")).to_contain_text("0.900")
    _found(page, best)
    _traced(page, server_url, best)
    _noted_on(page, server_url, best)
    _deleted(page, other)
    assert [study["id"] for study in asked(server_url, "/studies")["studies"]] == [best]


def _found(page: Page, best: str) -> None:
    page.get_by_test_id("filter-state").select_option("CANCELLED")
    expect(page.get_by_test_id(f"study-{best}")).to_have_count(0)
    assert names(page) == ["alpha"]
    page.get_by_test_id("filter-tag").select_option("paper")
    expect(page.get_by_test_id("none-fits")).to_be_visible()
    page.get_by_test_id("show-all").click()
    expect(page.get_by_test_id(f"study-{best}")).to_be_visible()
    # What is not wanted any more is not waited for.
    page.route("**/v1/studies?*text=tablet*", lambda _: None)
    page.get_by_test_id("search").fill("tablet")
    page.clock.run_for(300)
    page.get_by_test_id("search").fill("PHONE")
    page.clock.run_for(300)
    expect(page.get_by_test_id(f"study-{best}")).to_have_count(0)
    page.get_by_test_id("search").fill("")
    page.clock.run_for(300)
    expect(page.get_by_test_id(f"study-{best}")).to_be_visible()
    for order, expected in (
        ("best", ["beta", "alpha"]),
        ("name", ["alpha", "beta"]),
        ("oldest", ["beta", "alpha"]),
    ):
        page.get_by_test_id("sort").select_option(order)
        assert names(page) == expected, order


def _traced(page: Page, server_url: str, best: str) -> None:
    history = asked(server_url, f"/studies/{best}/hypervolume_history")["records"]
    trace = asked(server_url, "/studies")["hypervolume_traces"][best]
    assert trace == [record["hypervolume"] for record in history]
    drawn = page.get_by_test_id(f"study-{best}").locator(".spark polyline").get_attribute("points") or ""
    assert len(drawn.split()) == len([value for value in trace if value is not None])


def _noted_on(page: Page, server_url: str, best: str) -> None:
    row = page.get_by_test_id(f"study-{best}")
    row.get_by_role("button", name="Notes").click()
    assert findings(page) == []
    page.get_by_test_id("edit-tags").fill("paper, minilm")
    httpx.patch(f"{server_url}/v1/studies/{best}", json={"notes": "x"}, headers={**HEADERS, "If-Match": "*"})
    page.get_by_test_id("notes-save").click()
    expect(page.get_by_test_id("notes-problem")).to_contain_text("changed the study meanwhile")
    page.get_by_test_id("edit-notes").fill("kept for the paper")
    page.get_by_test_id("notes-save").click()
    expect(row.get_by_role("list", name="Tags").get_by_role("listitem")).to_have_text(["paper", "minilm"])
    kept = asked(server_url, f"/studies/{best}")
    assert (kept["notes"], kept["tags"]) == ("kept for the paper", ["paper", "minilm"])
    expect(row.get_by_role("button", name="Delete")).to_be_disabled()
    assert findings(page) == []
    assert width_on_a_narrow_page(page) <= 400


def _deleted(page: Page, other: str) -> None:
    gone = page.get_by_test_id(f"study-{other}")
    gone.get_by_role("button", name="Delete").click()
    page.get_by_test_id("question-no").click()
    expect(gone).to_be_visible()
    gone.get_by_role("button", name="Delete").click()
    expect(page.get_by_test_id("question")).to_contain_text("Delete “alpha”?")
    page.keyboard.press("Escape")
    gone.get_by_role("button", name="Delete").click()
    page.get_by_test_id("question-yes").click()
    expect(gone).to_have_count(0)
