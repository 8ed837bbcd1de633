"""The drawer of a trial that goes on: what news do to it, what is said of what is not measured, its log."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from api_schemas.log_tail import LastLines
from api_schemas.proposals import Explanation, Prediction
from api_schemas.trials import ClaimedTrial, Measurement
from service.storage.database import transaction
from service.storage.models import Trial
from service.trials import leases
from tests.browser.studies import (
    CURVE,
    SERIAL_24,
    add_result,
    asked,
    claim_and_measure,
    create_study,
    drawn,
    open_study,
    poll,
    queue_trial,
    requests_of_a_poll,
)

MARK = """(element) => {
  for (const drawn of element.querySelectorAll(".chart canvas:first-of-type, pre")) drawn.isMarked = true;
  element.scrollTop = 50;
  element.querySelector("pre").scrollTop = 40;
}"""
WHAT_STAYED = """(element) => [
  [...element.querySelectorAll(".chart canvas:first-of-type, pre")].map((drawn) => drawn.isMarked ?? false),
  element.scrollTop,
  element.querySelector("pre").scrollTop,
]"""
AS_IT_WAS = [[True, True, True], 50, 40]
THREE = [
    {"metric": "score", "direction": "maximize"},
    {"metric": "trainable_parameters", "direction": "minimize"},
    {"metric": "latency_ms", "direction": "minimize"},
]


def run_a_trial(study_id: str) -> ClaimedTrial:
    queue_trial(study_id, SERIAL_24)
    return claim_and_measure(CURVE[:2])


def choose(page: Page) -> Locator:
    page.get_by_role("button", name="Trial 0", exact=True).click()
    return page.get_by_test_id("details")


def test_news_leave_the_drawer_where_a_person_has_it(page: Page, server_url: str) -> None:
    """Of another trial they ask for nothing; of its own they draw the curve on. Nothing is scrolled back."""
    study_id = create_study(server_url, parallelism=4)
    running = run_a_trial(study_id)
    leases.store_log(
        running.trial_id, running.attempt, LastLines("\n".join(f"line {n}" for n in range(90)), 0)
    )
    open_study(page, server_url, study_id)
    drawer = choose(page)
    expect(page.get_by_test_id("trial-modules").locator("canvas").first).to_be_visible()
    expect(drawer.locator("pre")).to_contain_text("line 89")
    drawer.evaluate(MARK)
    add_result(study_id, 0.7, 1000)
    urls = requests_of_a_poll(page)
    expect(page.get_by_test_id("trial-1")).to_be_visible()
    assert drawer.evaluate(WHAT_STAYED) == AS_IT_WAS
    assert not [url for url in urls if url.endswith(f"/trials/{running.trial_id}")]
    leases.record_measurement(running.trial_id, running.attempt, Measurement(step=3, metrics={"score": 0.75}))
    poll(page)
    expect(page.get_by_test_id("learning-curve")).to_have_attribute(
        "aria-label", "Score by epoch: 0.610 → 0.680 → 0.750"
    )
    series = drawn(page, "learning-curve")["series"]
    assert series["score"] == [[1, 0.61], [2, 0.68], [3, 0.75]]
    assert drawer.evaluate(WHAT_STAYED) == AS_IT_WAS


def test_a_chosen_trial_that_leaves_the_front_keeps_its_curve(page: Page, server_url: str) -> None:
    """Its standing is said anew without asking for it; another trial has a drawer of its own."""
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 2000)
    open_study(page, server_url, study_id)
    drawer = choose(page)
    expect(drawer).to_contain_text("on the front")
    expect(page.get_by_test_id("trial-modules").locator("canvas").first).to_be_visible()
    page.evaluate("document.querySelector('[data-testid=details] canvas').isMarked = true")
    add_result(study_id, 0.8, 1000)
    poll(page)
    expect(drawer).not_to_contain_text("on the front")
    assert page.evaluate("document.querySelector('[data-testid=details] canvas').isMarked")
    page.get_by_role("button", name="Trial 1", exact=True).click()
    expect(page.get_by_test_id("learning-curve")).to_have_attribute(
        "aria-label", "Score by epoch: 0.700 → 0.800"
    )
    assert drawn(page, "learning-curve")["series"]["score"] == [[1, pytest.approx(0.7)], [2, 0.8]]
    expect(page.get_by_test_id("trial-modules")).to_have_attribute(
        "aria-label", "Sizes of the modules that trial 1 trains in each layer. The numbers are below."
    )


def test_what_is_not_measured_is_called_that(page: Page, server_url: str) -> None:
    """In words and in the plot, which offers as colour what was measured, and any objective as an axis."""
    study_id = create_study(server_url, objectives=THREE, parallelism=4)
    running = run_a_trial(study_id)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("shade")).to_be_hidden()
    said = page.get_by_test_id("walked")
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("Latency (ms): not measured yet. 1 of 1.")
    explanation = Explanation(predictions={"latency_ms": Prediction(mean=4, standard_deviation=1)})
    with transaction() as session:
        session.get_one(Trial, running.trial_id).explanation = explanation.model_dump(mode="json")
    add_result(study_id, 0.7, 1000)
    page.reload()
    expect(page.get_by_test_id("shade").locator("option")).to_contain_text(["by standing", "Latency (ms)"])
    page.get_by_test_id("axis-x").select_option("latency_ms")
    page.get_by_test_id("axis-y").select_option("trainable_parameters")
    [progress] = asked(server_url, f"/studies/{study_id}/trial_columns")["progress"]
    trained = progress["exact"]["trainable_parameters"]
    assert drawn(page)["series"]["Only expected so far"] == [[4, trained]]
    page.get_by_role("application").focus()
    page.keyboard.press("End")
    expect(said).to_contain_text("Trial 0, step 2 of 3, here as the model expects it. Score: 0.680 so far;")
    expect(said).to_contain_text("Latency (ms): 4 ± 1 as expected.")


@pytest.mark.parametrize("status", [429, 502, 503])
def test_the_log_is_asked_for_again_after_a_bad_moment(page: Page, server_url: str, status: int) -> None:
    """One bad answer is passed over; said is only what lasts, and it is over with the next good answer."""
    study_id = create_study(server_url)
    running = run_a_trial(study_id)
    leases.store_log(running.trial_id, running.attempt, LastLines("line 1", 0))
    open_study(page, server_url, study_id)
    bad = {"left": 2}

    def answer(route: Route) -> None:
        bad["left"] -= 1
        if bad["left"] >= 0:
            route.fulfill(status=status)
        else:
            route.continue_()

    page.route("**/logs", answer)
    log = page.get_by_test_id("trial-log")
    choose(page)
    expect(log.get_by_role("heading", name="Log")).to_be_visible()
    poll(page)
    poll(page)
    expect(log.locator("pre")).to_have_text("line 1")
    expect(log).not_to_contain_text("cannot be read")
    bad["left"] = 100
    for _ in range(3):
        with page.expect_response("**/logs"):
            poll(page)
    expect(log).to_contain_text("The log cannot be read at the moment; the page goes on asking.")
    bad["left"] = 0
    poll(page)
    expect(log).not_to_contain_text("cannot be read")


def test_a_log_that_is_refused_is_not_asked_for_again(page: Page, server_url: str) -> None:
    """What the service refuses it refuses again."""
    study_id = create_study(server_url)
    run_a_trial(study_id)
    open_study(page, server_url, study_id)
    page.route("**/logs", lambda route: route.fulfill(status=404))
    drawer = choose(page)
    expect(drawer).to_contain_text("The log could not be read.")
    assert not [url for url in requests_of_a_poll(page) if url.endswith("/logs")]
