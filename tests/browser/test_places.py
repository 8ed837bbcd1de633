"""Where the page stands after a click: what was asked for is in view, and the way back leads back."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.studies import HEAD_ONLY, PLACE_OF, add_result, create_study, numbers_in_table, open_study
from tests.browser.test_states import import_in_batches
from tests.conftest import API_KEY

IS_IN_VIEW = """(element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && top < innerHeight - 100 && bottom > 0;
}"""


def test_a_row_shows_its_trial_and_back_returns_to_the_row(page: Page, server_url: str) -> None:
    """The panel comes into view with the focus on it; Back goes to where the row was clicked."""
    study_id = import_in_batches(server_url, 20)
    open_study(page, server_url, study_id)
    button = page.get_by_role("button", name="Trial 3", exact=True)
    button.scroll_into_view_if_needed()
    left_at = page.evaluate("scrollY")
    assert not page.get_by_test_id("details").evaluate(IS_IN_VIEW)
    button.click()
    details = page.get_by_test_id("details")
    expect(details).to_be_focused()
    assert details.evaluate(IS_IN_VIEW)
    expect(page).to_have_url(re.compile(r"&trial=3$"))
    page.go_back()
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-pressed", "false")
    page.wait_for_function("(top) => Math.abs(scrollY - top) < 3", arg=left_at)
    page.go_forward()
    expect(button).to_have_attribute("aria-pressed", "true")


def test_the_address_of_a_trial_shows_it(page: Page, server_url: str) -> None:
    """It can be kept and sent; a number that is no trial's shows the best."""
    study_id = import_in_batches(server_url, 3)
    page.goto(f"{server_url}/#key={API_KEY}&study={study_id}&trial=2")
    expect(page.get_by_role("heading", name="Trial 2", exact=False)).to_be_visible()
    page.goto(f"{server_url}/#study={study_id}&trial=99")
    expect(page.get_by_test_id("details")).to_contain_text("Best: trial 0")


def test_a_point_on_a_narrow_page_brings_its_trial_into_view(page: Page, server_url: str) -> None:
    """There the panel lies below the plot."""
    page.set_viewport_size({"width": 400, "height": 700})
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 770, parameters=HEAD_ONLY)
    open_study(page, server_url, study_id)
    x, y = page.evaluate(PLACE_OF, ["Head only", 0])
    page.mouse.click(x, y)
    expect(page.get_by_test_id("details")).to_be_focused()
    assert page.get_by_test_id("details").evaluate(IS_IN_VIEW)


def test_sorting_and_narrowing_show_the_first_rows(page: Page, server_url: str) -> None:
    """Whoever sorts wants to see what is first now, not the middle where the table stood."""
    open_study(page, server_url, import_in_batches(server_url, 40))
    frame = page.locator(".scroll", has=page.get_by_test_id("trials"))
    frame.evaluate("(element) => { element.scrollTop = 300; }")
    assert frame.evaluate("(element) => element.scrollTop") > 0
    page.get_by_test_id("trials").get_by_role("button", name="Trial", exact=True).click()
    assert numbers_in_table(page)[0] == "0"
    assert frame.evaluate("(element) => element.scrollTop") == 0


@pytest.mark.parametrize("place", ["list", "study"])
def test_a_table_that_is_too_wide_scrolls_and_is_cards_on_a_narrow_page(
    page: Page, server_url: str, place: str
) -> None:
    """At 700 px it is cut off, and says so; at 400 px nothing is, and every value has its heading."""
    study_id = create_study(server_url, display_name="a study with quite a long name")
    add_result(study_id, 0.7, 98_690)
    open_study(page, server_url, study_id)
    row = page.get_by_test_id("trial-0")
    if place == "list":
        page.get_by_role("link", name="All studies").click()
        row = page.get_by_test_id(f"study-{study_id}")
    score = row.locator("[data-title^='Score'], [data-title^='Best score']")
    hint = page.get_by_test_id("wide-table")
    expect(row).to_be_visible()
    expect(hint).to_be_hidden()
    page.set_viewport_size({"width": 700, "height": 700})
    expect(hint).to_be_visible()
    page.set_viewport_size({"width": 400, "height": 700})
    expect(hint).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert score.evaluate("(cell) => cell.getBoundingClientRect().right") <= 400
    assert "core" in score.evaluate("(cell) => getComputedStyle(cell, '::before').content")
