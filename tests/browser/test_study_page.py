"""A study's page in a real browser, on the real service: charts, table, verbs."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from api_schemas.trials import TrialReport, TrialState
from service.settings import settings
from service.storage.database import transaction
from service.storage.models import Study
from tests.browser.accessibility import findings
from tests.browser.studies import (
    HEAD_ONLY,
    PLACE_OF,
    SERIAL_24,
    add_result,
    add_trial,
    create_study,
    drawn,
    finish_trial,
    numbers_in_table,
    open_study,
    poll,
    queue_trial,
)
from tests.conftest import API_KEY


def test_results_appear_while_the_page_is_open(page: Page, server_url: str) -> None:
    """Front, staircase, dominated and head-only points, numbers and table follow each result."""
    study_id = create_study(server_url)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("pareto-empty")).to_be_visible()
    expect(page.get_by_test_id("no-trial")).to_be_visible()
    add_result(study_id, 0.7, 770, parameters=HEAD_ONLY)
    add_result(study_id, 0.8, 98_690)
    add_result(study_id, 0.75, 500_000)
    poll(page)
    expect(page.get_by_test_id("progress")).to_have_text("3 / 4 trials")
    expect(page.get_by_test_id("trial-1")).to_contain_text("98,690")
    assert numbers_in_table(page) == ["2", "1", "0"]
    picture = drawn(page)
    assert picture["series"]["Head only"] == [[770, 0.7]]
    assert picture["series"]["On the front"] == [[98_690, 0.8]]
    assert picture["series"]["Dominated"] == [[500_000, 0.75]]
    assert picture["series"]["staircase"] == [[770, 0.7], [98_690, 0.8]]
    assert picture["x"] == "log"
    study = httpx.get(
        f"{server_url}/v1/studies/{study_id}", headers={"Authorization": f"Bearer {API_KEY}"}
    ).json()
    expect(page.get_by_test_id("hypervolume")).to_have_text(f"{study['hypervolume']:#.4g}")


@pytest.mark.parametrize("state", [TrialState.INFEASIBLE, TrialState.FAILED])
def test_a_trial_that_came_to_nothing_says_why(page: Page, server_url: str, state: TrialState) -> None:
    """State and reason stand in its row, and it is not drawn."""
    study_id = create_study(server_url)
    queue_trial(study_id, SERIAL_24)
    for _ in range(settings().max_attempts if state is TrialState.FAILED else 1):
        finish_trial(TrialReport(state=state, reason="out-of-memory: 2 GiB asked for"))
    open_study(page, server_url, study_id)
    row = page.get_by_test_id("trial-0")
    expect(row.locator(".chip")).to_have_text(state.lower())
    expect(row.locator(".reason")).to_have_text("out-of-memory: 2 GiB asked for")
    expect(page.get_by_test_id("pareto-empty")).to_be_visible()


def test_a_click_on_a_point_selects_its_row(page: Page, server_url: str) -> None:
    """The row is marked, and the panel says what the trial trained."""
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 770, parameters=HEAD_ONLY)
    add_result(study_id, 0.8, 98_690)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("details")).to_contain_text("Best: trial 1")
    x, y = page.evaluate(PLACE_OF, ["Head only", 0])
    page.mouse.click(x, y)
    expect(page.get_by_test_id("details")).to_contain_text("Trial 0")
    expect(page.get_by_test_id("details")).to_contain_text("nothing but the classifier is trained")
    expect(page.get_by_test_id("trial-0")).to_have_attribute("data-selected", "")
    expect(page.locator("tr[data-selected]")).to_have_count(1)


def test_points_are_walked_through_by_keyboard(page: Page, server_url: str) -> None:
    """Along the front, then the others; each is ringed and said, through news as well; Enter opens it."""
    study_id = create_study(server_url)
    add_result(study_id, 0.8, 98_690)
    add_result(study_id, 0.75, 500_000)
    add_result(study_id, 0.7, 770, parameters=HEAD_ONLY)
    open_study(page, server_url, study_id)
    page.get_by_role("application").focus()
    said = page.get_by_test_id("walked")
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text(
        "Trial 2, on the front. Score: 0.700; Trainable parameters: 770. 1 of 3.", use_inner_text=True
    )
    page.keyboard.press("End")
    expect(said).to_contain_text("Trial 1, dominated. Score: 0.750")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text("Trial 0, on the front. Score: 0.800; Trainable parameters: 98,690. 2 of 3.")
    assert findings(page) == []
    add_result(study_id, 0.72, 5000)
    poll(page)
    expect(said).to_contain_text("3 of 4.")
    x, y = page.evaluate(PLACE_OF, ["On the front", 0])
    ring = page.locator(".walked-point").bounding_box()
    assert ring is not None
    assert (ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2) == pytest.approx((x, y), abs=1)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("details")).to_be_focused()
    expect(page.get_by_test_id("details")).to_contain_text("Trial 0")


def test_a_row_is_selected_by_keyboard(page: Page, server_url: str) -> None:
    """Its number is a button that says whether it is pressed, and keeps the focus through a poll."""
    study_id = create_study(server_url)
    add_result(study_id, 0.8, 98_690)
    open_study(page, server_url, study_id)
    button = page.get_by_role("button", name="Trial 0", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("details")).to_contain_text("serial 24 on all 6 layers")
    expect(page.get_by_test_id("learning-curve")).to_have_attribute(
        "aria-label", "Score by epoch: 0.700 → 0.800"
    )
    button.focus()
    add_result(study_id, 0.9, 100_000)
    poll(page)
    expect(page.get_by_test_id("trial-1")).to_be_visible()
    expect(button).to_be_focused()


def test_the_table_is_sorted_by_the_column_that_is_clicked(page: Page, server_url: str) -> None:
    """Largest first, then smallest first; rows without a value stay last."""
    study_id = create_study(server_url)
    add_result(study_id, 0.8, 1000)
    queue_trial(study_id, SERIAL_24)
    finish_trial(TrialReport(state=TrialState.INFEASIBLE, reason="out-of-memory"))
    add_result(study_id, 0.9, 1000)
    add_result(study_id, 0.7, 1000)
    open_study(page, server_url, study_id)
    heading = page.get_by_test_id("trials").get_by_role("columnheader", name="Score", exact=True)
    heading.get_by_role("button").click()
    assert numbers_in_table(page) == ["2", "0", "3", "1"]
    expect(heading).to_have_attribute("aria-sort", "descending")
    heading.get_by_role("button").click()
    assert numbers_in_table(page) == ["3", "0", "2", "1"]
    expect(heading).to_have_attribute("aria-sort", "ascending")


def test_pause_and_resume_follow_the_state(page: Page, server_url: str) -> None:
    """Only the verb that the state allows can be clicked."""
    open_study(page, server_url, create_study(server_url))
    expect(page.get_by_test_id("resume")).to_be_disabled()
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("study-state")).to_have_text("paused")
    expect(page.get_by_test_id("pause")).to_be_disabled()
    page.get_by_test_id("resume").click()
    expect(page.get_by_test_id("study-state")).to_have_text("active")


def test_cancel_asks_first(page: Page, server_url: str) -> None:
    """Keeping it changes nothing, confirming ends the study."""
    open_study(page, server_url, create_study(server_url))
    page.get_by_test_id("cancel").click()
    page.get_by_test_id("question-no").click()
    expect(page.get_by_test_id("question")).to_be_hidden()
    expect(page.get_by_test_id("study-state")).to_have_text("active")
    page.get_by_test_id("cancel").click()
    page.get_by_test_id("question-yes").click()
    expect(page.get_by_test_id("study-state")).to_have_text("cancelled")
    expect(page.get_by_test_id("cancel")).to_be_disabled()


def test_a_verb_that_is_refused_says_why(page: Page, server_url: str) -> None:
    """Somebody else cancelled the study between two polls: the conflict's detail is shown."""
    study_id = create_study(server_url)
    open_study(page, server_url, study_id)
    # What the page reads meanwhile waits, or it could learn of the end in the moment of the click.
    study_itself = re.compile(rf"/v1/studies/{study_id}(\?|$)")
    page.route(study_itself, lambda _: None)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    assert httpx.post(f"{server_url}/v1/studies/{study_id}:cancel", headers=headers).status_code == 200
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("problem")).to_contain_text("The study is CANCELLED")
    page.unroute(study_itself)  # which lets go on what waits
    expect(page.get_by_test_id("study-state")).to_have_text("cancelled")
    page.get_by_test_id("problem").get_by_role("button", name="Dismiss").click()
    expect(page.get_by_test_id("problem")).to_be_hidden()


def test_a_study_with_one_objective_lets_the_axes_be_chosen(page: Page, server_url: str) -> None:
    """The best so far over the trials at first, then over whatever else was measured."""
    study_id = create_study(server_url, objectives=[{"metric": "score", "direction": "maximize"}])
    for score, trained in ((0.7, 5000), (0.6, 1000), (0.8, 2000)):
        add_result(study_id, score, trained)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("axes")).to_be_visible()
    assert drawn(page)["series"]["staircase"] == [[0, 0.7], [2, 0.8]]
    page.get_by_test_id("axis-x").select_option("trainable_parameters")
    assert drawn(page)["series"]["staircase"] == [[1000, 0.6], [2000, 0.8]]


def test_a_trial_beyond_a_limit_has_a_sign_of_its_own(page: Page, server_url: str) -> None:
    """It may lie above the front without standing on it, and the legend says why."""
    limit = {"metric": "trainable_parameters", "op": "<=", "bound": 5000}
    study_id = create_study(server_url, constraints=[limit])
    add_result(study_id, 0.7, 4000)
    add_result(study_id, 0.9, 6000)
    open_study(page, server_url, study_id)
    picture = drawn(page)
    assert picture["series"]["Beyond a limit"] == [[6000, 0.9]]
    assert picture["series"]["staircase"] == [[4000, 0.7]]
    expect(page.get_by_test_id("best")).to_have_text("0.700")


def test_of_three_objectives_any_two_can_be_seen(page: Page, server_url: str) -> None:
    """The corners are those of the stored front that no other beats on the two chosen axes."""
    objectives = [
        {"metric": "score", "direction": "maximize"},
        {"metric": "trainable_parameters", "direction": "minimize"},
        {"metric": "latency_ms", "direction": "minimize"},
    ]
    study_id = create_study(server_url, objectives=objectives)
    for score, trained, latency_ms in ((0.7, 1000, 5.0), (0.8, 2000, 9.0), (0.75, 3000, 4.0)):
        add_result(study_id, score, trained, latency_ms=latency_ms)
    open_study(page, server_url, study_id)
    assert len(drawn(page)["series"]["On the front"]) == 3
    assert drawn(page)["series"]["staircase"] == [[1000, 0.7], [2000, 0.8]]
    page.get_by_test_id("axis-x").select_option("latency_ms")
    assert drawn(page)["series"]["staircase"] == [[4, 0.75], [9, 0.8]]


def test_two_objectives_leave_nothing_to_choose(page: Page, server_url: str) -> None:
    """The second objective lies under the first."""
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 5000)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("axes")).to_be_hidden()
    assert re.match(r"Score \(validation.*more is better\)", drawn(page)["y"])


def test_a_long_study_is_read_whole_and_shown_in_parts(page: Page, server_url: str) -> None:
    """Of 205 trials those in view are on the page; an event asks for what it has changed, and no more."""
    study_id = create_study(server_url, budget={"trials": 300}, parallelism=300)
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        for _ in range(205):
            add_trial(session, study, SERIAL_24)
    open_study(page, server_url, study_id)
    table = page.get_by_test_id("trials")
    expect(table).to_have_attribute("aria-rowcount", "206")
    assert numbers_in_table(page)[:2] == ["204", "203"]
    assert table.locator("tbody.rows tr").count() < 60
    table.locator("xpath=..").evaluate("(frame) => { frame.scrollTop = frame.scrollHeight; }")
    expect(page.get_by_test_id("trial-0")).to_be_visible()
    expect(page.get_by_test_id("liveness")).to_have_text("Live")
    with page.expect_response("**/trial_columns?changed_after=*") as answer:
        finish_trial(TrialReport(state=TrialState.INFEASIBLE, reason="out-of-memory"))
    assert answer.value.json()["numbers"] == [0]
    expect(page.get_by_test_id("trial-0").locator(".chip")).to_have_text("infeasible")


def test_what_a_trial_keeps_of_its_backbone_is_drawn(page: Page, server_url: str) -> None:
    """Two bars for each layer, as long as what stays; of a layer that is left out the outline.

    The study's super-network is spoken of in its head.
    """
    study_id = create_study(
        server_url,
        search_space={"preset": "depth_width"},
        budget={"trials": 12},
        proposals={"one_shot": {"epochs": 1}},
    )
    parameters = {"architecture.keep_layers": 4, "architecture.which": "first", "architecture.ffn_width": 768}
    add_result(study_id, 0.8, 98_690, parameters=parameters)
    open_study(page, server_url, study_id)
    picture = page.get_by_role("img", name="4 of 6 layers stay")
    expect(picture.locator(".dropped")).to_have_count(4)
    widths = [bar.get_attribute("width") for bar in picture.locator(".kept").all()]
    assert widths == ["64", "86"] * 4
    expect(page.get_by_test_id("study-words")).to_contain_text("One-shot: a super-network is trained first")
