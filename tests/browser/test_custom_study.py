"""A custom study on the page: its parameters in the place of modules, its own metrics and scales."""

import httpx
from playwright.sync_api import Page, expect

from tests.browser.rich_study import believe
from tests.browser.studies import drawn, open_study
from tests.conftest import API_KEY

STUDY = {
    "kind": "custom",
    "display_name": "mine",
    "search_space": {"parameters": [{"type": "float", "name": "rate", "low": 0.0, "high": 1.0}]},
    "objectives": [
        {"metric": "error", "direction": "minimize", "log": True},
        {"metric": "watts", "direction": "minimize"},
    ],
    "budget": {"trials": 4},
}
TICKS_AROUND = """async (value) => {
  const { fitted } = await import("/static/chart_frame.js");
  const extent = { min: value, max: value };
  return [fitted.min(extent), fitted.max(extent)];
}"""


def test_a_custom_study_shows_parameters_and_its_own_metrics(page: Page, server_url: str) -> None:
    """No modules, no test split; a logarithmic axis if the caller says so; beliefs without a third metric."""
    with httpx.Client(base_url=server_url, headers={"Authorization": f"Bearer {API_KEY}"}) as http:
        # Seeds that differ, for there are no beliefs about what is exact.
        study_id = http.post("/v1/studies", json={**STUDY, "final_replicates": 1}).json()["id"]
        observations = [
            {"parameters": {"rate": 0.125}, "metrics": {"error": 0.01, "watts": 40.0}},
            {"parameters": {"rate": 0.25}, "metrics": {"error": 0.1, "watts": 50.0}},
        ]
        answer = http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": observations})
        assert answer.json() == {"imported": 2, "already_known": 0}
    believe(study_id, "error")
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("study-meta")).to_contain_text("custom study")
    expect(page.get_by_test_id("progress")).to_have_text("0 / 4 trials")
    table = page.get_by_test_id("trials")
    expect(table).to_contain_text("Parameters")
    expect(table).not_to_contain_text("Test score")
    expect(page.get_by_test_id("trial-0")).to_contain_text("rate 0.125")
    picture = drawn(page)
    assert picture["series"]["On the front"] == [[40.0, 0.01]]
    assert "log scale" in picture["y"]
    expect(page.get_by_test_id("shade")).to_be_hidden()
    page.get_by_test_id("shows-belief").check()
    assert len(drawn(page)["series"]["Believed front"]) == 1
    page.get_by_test_id("trial-1").click()
    expect(page.get_by_text("imported").first).to_be_visible()
    page.goto(f"{server_url}/#key={API_KEY}")
    expect(page.get_by_test_id(f"study-{study_id}")).to_contain_text("custom study")


def test_a_study_whose_results_all_break_a_limit_says_so(page: Page, server_url: str) -> None:
    """There is no best, but there is a result; one is one, and what is imported is not generated."""
    limit = {"metric": "watts", "op": "<=", "bound": 10}
    with httpx.Client(base_url=server_url, headers={"Authorization": f"Bearer {API_KEY}"}) as http:
        study_id = http.post("/v1/studies", json={**STUDY, "constraints": [limit]}).json()["id"]
        observation = {"parameters": {"rate": 0.125}, "metrics": {"error": 0.35, "watts": 40.0}}
        http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": [observation]})
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("tiles")).to_contain_text("no result keeps every limit")
    expect(page.get_by_test_id("study-meta")).to_contain_text("1 parameter searched")
    page.get_by_test_id("trial-0").click()
    expect(page.get_by_test_id("details").get_by_text("imported", exact=True)).to_be_visible()
    assert page.evaluate(TICKS_AROUND, 0.35) == [0.3, 0.4]
