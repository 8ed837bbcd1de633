"""What the page says where there is nothing to show, or not what was asked for: each once, and what to do."""

import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.studies import (
    HEAD_ONLY,
    add_result,
    create_study,
    drawn,
    open_study,
    poll,
    requests_of_a_poll,
)
from tests.browser.test_custom_study import STUDY as CUSTOM_STUDY
from tests.conftest import API_KEY

LEGEND = """async () => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  const chart = getInstanceByDom(document.querySelector('[data-testid="pareto-chart"]'));
  return chart.getOption().legend[0].data;
}"""
HYPERVOLUME_AXIS = """async () => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  const chart = getInstanceByDom(document.querySelector('[data-testid="hypervolume-chart"]'));
  return chart.getOption().xAxis[0].max;
}"""


def import_in_batches(server_url: str, *sizes: int) -> str:
    """Give a custom study whose results came with one import after another."""
    with httpx.Client(base_url=server_url, headers={"Authorization": f"Bearer {API_KEY}"}) as http:
        study_id: str = http.post("/v1/studies", json=CUSTOM_STUDY).json()["id"]
        count = 0
        for size in sizes:
            rates = [(count + position) / 100 for position in range(size)]
            observations = [
                {"parameters": {"rate": rate}, "metrics": {"error": 0.01 + rate, "watts": 50.0 - 9 * rate}}
                for rate in rates
            ]
            answer = http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": observations})
            assert answer.json()["imported"] == size
            count += size
    return study_id


def test_a_missing_study_says_so_and_leads_back_to_the_list(page: Page, server_url: str) -> None:
    """Nothing loads for ever: the page says once what is missing, asks no more, and has a way out."""
    page.goto(f"{server_url}/#key={API_KEY}&study=std_0")
    expect(page.get_by_role("heading", name="This study is not here")).to_be_visible()
    expect(page.get_by_text("There is no study “std_0” for this key")).to_be_visible()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(1)
    expect(page.get_by_test_id("loading")).to_have_count(0)
    assert requests_of_a_poll(page) == []
    page.locator("main").get_by_role("link", name="All studies").click()
    expect(page.get_by_test_id("no-study")).to_be_visible()


@pytest.mark.parametrize("address", ["", "&study={study}"])
def test_a_page_that_cannot_load_says_what_to_do_and_loads_later(
    page: Page, server_url: str, address: str
) -> None:
    """A failure of the server takes the place of "Loading" until an answer comes."""
    study_id = create_study(server_url)

    def fail(route: Route) -> None:
        detail = '{"title": "Internal error", "detail": "The server has a bad day."}'
        route.fulfill(status=500, content_type="application/problem+json", body=detail)

    page.route("**/v1/**", fail)
    page.goto(f"{server_url}/#key={API_KEY}{address.format(study=study_id)}")
    alert = page.get_by_role("alert").filter(has_text="The server has a bad day.", visible=True)
    expect(alert).to_have_count(1)
    expect(alert).to_contain_text("tries again every two seconds")
    expect(page.get_by_test_id("loading")).to_have_count(0)
    page.unroute("**/v1/**")
    poll(page)
    expect(page.get_by_text("a study").first).to_be_visible()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)


def test_a_lost_connection_is_said_once(page: Page, server_url: str) -> None:
    """A button that was pressed meanwhile says what became of it, not the same sentence again."""
    open_study(page, server_url, create_study(server_url))
    expect(page.get_by_test_id("liveness")).to_have_text("Live")
    page.context.set_offline(True)
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("connection-problem")).to_contain_text("The service does not answer")
    expect(page.get_by_test_id("problem")).to_contain_text("press the button again")
    expect(page.get_by_role("alert").filter(has_text="does not answer", visible=True)).to_have_count(1)
    page.context.set_offline(False)
    poll(page)
    expect(page.get_by_test_id("connection-problem")).to_be_hidden()
    expect(page.get_by_test_id("pause")).to_be_enabled()


def test_cancelling_a_paused_study_offers_to_keep_it_paused(page: Page, server_url: str) -> None:
    """The question's other button says what the study does now."""
    open_study(page, server_url, create_study(server_url))
    page.get_by_test_id("cancel").click()
    page.get_by_role("button", name="Keep it running").click()
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("study-state")).to_have_text("paused")
    page.get_by_test_id("cancel").click()
    page.get_by_role("button", name="Keep it paused").click()
    expect(page.get_by_test_id("study-state")).to_have_text("paused")


def test_imported_results_are_counted_one_by_one(page: Page, server_url: str) -> None:
    """Seventy results in two imports are seventy on the axis, and the importance knows of them."""
    study_id = import_in_batches(server_url, 30, 40)
    open_study(page, server_url, study_id)
    assert [point[0] for point in drawn(page, "hypervolume-chart")["series"]["hypervolume"]] == [30, 70]
    assert page.evaluate(HYPERVOLUME_AXIS) == 70
    expect(page.get_by_test_id("hypervolume-chart")).to_have_attribute(
        "aria-label", re.compile("after 70 results")
    )
    expect(page.get_by_test_id("importance")).to_contain_text("70 results are not weighed yet")


def test_the_legend_names_the_head_alone_where_it_was_tried(page: Page, server_url: str) -> None:
    """A custom study has no head, and a study without such a trial no sign for it."""
    open_study(page, server_url, import_in_batches(server_url, 3))
    assert page.evaluate(LEGEND) == ["On the front", "Dominated"]
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 770, parameters=HEAD_ONLY)
    open_study(page, server_url, study_id)
    assert page.evaluate(LEGEND) == ["On the front", "Dominated", "Head only"]
