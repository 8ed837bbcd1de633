"""Understand: the plots of a study, each with its numbers, as the API has them."""

import json
import re
from typing import Any

from playwright.sync_api import Page, expect

from api_schemas.log_tail import LastLines
from api_schemas.trials import Measurement
from service.trials import leases
from tests.browser.accessibility import findings, width_on_a_narrow_page
from tests.browser.rich_study import SERIAL, rich_study
from tests.browser.studies import (
    CURVE,
    POLL_MS,
    add_result,
    asked,
    claim_and_measure,
    drawn,
    open_study,
    poll,
)
from tests.browser.test_states import import_in_batches
from tests.browser.test_taking_out import saved

TABS = ("parallel", "slice", "curves", "modules", "timeline", "failures")
HEATMAP = """async (name) => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  return getInstanceByDom(document.querySelector(`[data-testid="${name}"]`)).getOption().series[0].data;
}"""


def of_study(server_url: str, study_id: str, path: str) -> Any:
    return asked(server_url, f"/studies/{study_id}{path}")


def test_every_plot_has_the_numbers_of_the_api(page: Page, server_url: str) -> None:
    """Tab by tab: parameters, model, curves, layers, workers, failures; none breaks a rule of axe."""
    study_id = rich_study(server_url)
    open_study(page, server_url, study_id)
    page.get_by_test_id("understand").scroll_into_view_if_needed()
    trials = {trial["number"]: trial for trial in of_study(server_url, study_id, "/trials")["trials"]}
    _parameters(page, trials)
    _model(page, server_url, study_id)
    _curves(page, server_url, study_id, trials[0]["id"])
    _layers(page, server_url, study_id)
    _workers(page, server_url, study_id)
    _failures(page)
    for tab in TABS:
        page.get_by_test_id(f"tab-{tab}").click()
        expect(page.locator(f"[data-view={tab}]")).to_be_visible()
        assert width_on_a_narrow_page(page) <= 400, tab
    # All at once, for axe looks at what can be seen and takes seconds.
    page.evaluate("for (const view of document.querySelectorAll('[data-view]')) view.hidden = false")
    assert findings(page) == []


def _parameters(page: Page, trials: dict[int, Any]) -> None:
    expect(page.get_by_test_id("parallel")).to_be_visible()
    kept = json.loads(saved(page, "Save parallel coordinates as JSON"))
    assert len(kept) == 12
    for row in kept:
        assert row["Score"] == trials[row["trial"]]["metrics"]["score"]
    page.get_by_test_id("brush-axis").select_option("objective score")
    page.get_by_test_id("brush-low").select_option(label="0.748")
    expect(page.get_by_test_id("brushed")).to_contain_text("4 trials of 12 within")
    assert len(drawn(page)["series"]["Dominated, outside"]) == 3
    page.get_by_test_id("brush-clear").click()
    assert "Dominated, outside" not in drawn(page)["series"]


def _model(page: Page, server_url: str, study_id: str) -> None:
    page.get_by_test_id("tab-parallel").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("tab-slice")).to_be_focused()
    expect(page.get_by_test_id("slice-note")).to_contain_text("model of 12 results")
    found = of_study(server_url, study_id, f"/slice?objective=score&parameter={SERIAL}")["slice"]
    assert [point[1] for point in drawn(page, "slice")["series"]["mean"]] == found["means"]
    page.get_by_test_id("slice-numbers").locator("summary").click()
    first = page.get_by_test_id("slice-numbers").locator("tbody tr").first
    expect(first).to_be_visible()
    cells = first.locator("td").all_inner_texts()
    assert [float(cell) for cell in cells] == [0, found["means"][0], found["lower"][0], found["upper"][0]]
    page.get_by_test_id("slice-second").select_option("peft.active_layers.5")
    over = of_study(server_url, study_id, f"/slice?parameter={SERIAL}&second=peft.active_layers.5")["slice"]
    page.wait_for_function(f"async () => (await ({HEATMAP})('slice')).length === 12")
    assert [cell[2] for cell in page.evaluate(HEATMAP, "slice")] == over["means"]


def _curves(page: Page, server_url: str, study_id: str, trial_id: str) -> None:
    page.get_by_test_id("tab-curves").click()
    page.get_by_test_id("curves-number").fill("0")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("button", name="Take trial 0 away")).to_be_visible()
    curve = of_study(server_url, study_id, f"/trials/{trial_id}")["measurements"]
    assert drawn(page, "curves")["series"]["curve 0"] == [
        [one["step"], one["metrics"]["score"]] for one in curve
    ]


def _layers(page: Page, server_url: str, study_id: str) -> None:
    page.route("**/module_maps", lambda route: route.abort(), times=1)
    page.get_by_test_id("tab-modules").click()
    expect(page.get_by_test_id("problem")).to_be_visible()
    poll(page)
    expect(page.get_by_test_id("modules-note")).to_contain_text("of the front")
    maps = of_study(server_url, study_id, "/module_maps")
    shares = [
        sum(trial[layer][module] > 0 for trial in maps["sizes"]) / len(maps["sizes"])
        for layer in range(maps["layers"])
        for module in range(len(maps["modules"]))
    ]
    assert [cell[2] for cell in page.evaluate(HEATMAP, "modules")] == shares


def _workers(page: Page, server_url: str, study_id: str) -> None:
    page.get_by_test_id("tab-timeline").click()
    expect(page.get_by_test_id("timeline-note")).to_contain_text("3 workers")
    assert len(drawn(page, "timeline")["series"]["runs"]) == len(
        of_study(server_url, study_id, "/runs")["numbers"]
    )
    assert saved(page, "Save workers as SVG").startswith(b"<svg")


def _failures(page: Page) -> None:
    attempts: list[str] = []
    page.on("request", lambda request: attempts.append(request.url))
    page.get_by_test_id("tab-failures").click()
    reasons = page.get_by_test_id("failures")
    expect(reasons.locator("tbody tr").first).to_contain_text("out-of-memory: … GiB asked for")
    assert not [url for url in attempts if url.endswith("/runs")]
    reasons.get_by_role("button", name="Show trial 12").click()
    expect(page.get_by_test_id("details")).to_contain_text("2 % chance of joining the front")
    page.keyboard.press("Escape")
    reasons.get_by_role("button", name="Show trial 15").click()
    given_back = page.get_by_role("list", name="Attempts that were given back")
    expect(given_back).to_contain_text("Attempt 1 (replicate 0) on cpu-2: given back")
    _log(page)
    page.keyboard.press("Escape")


def _log(page: Page) -> None:
    """Lines of a failed attempt, as text; then those of the next one, live, though no event tells of them."""
    log = page.get_by_test_id("trial-log")
    first = log.get_by_role("region", name="Last lines of attempt 1")
    expect(first).to_have_text(
        re.compile("step 1\\s<img src=x onerror=alert\\(1\\)>\\sOSError: the disk is full")
    )
    expect(log).to_contain_text("1,234 lines before these are not kept.")
    assert log.locator("img").count() == 0
    claimed = leases.claim("cpu-3")
    assert claimed is not None
    poll(page)
    for said in ("step 1", "step 1\nstep 2"):
        leases.store_log(claimed.trial_id, claimed.attempt, LastLines(said, 0))
        page.clock.run_for(POLL_MS)
        expect(log.get_by_role("region", name="Last lines of attempt 2")).to_have_text(said)
    expect(first).to_be_hidden()
    assert findings(page) == []


def test_the_plot_of_the_front_shows_what_is_asked_for(page: Page, server_url: str) -> None:
    """What waits or is infeasible, beliefs, a third metric as colour, bounds, the front of then, and news."""
    study_id = rich_study(server_url)
    open_study(page, server_url, study_id)
    series = drawn(page)["series"]
    assert series["Only expected so far"] == [[30_000, 0.79]]
    assert len(series["Infeasible"]) == 2
    page.get_by_test_id("shows-belief").check()
    believed = of_study(server_url, study_id, "/pareto_front?by=believed")["points"]
    [[_, height]] = drawn(page)["series"]["Believed front"]
    assert height == believed[0]["believed"]["score"]["mean"]
    page.get_by_test_id("shade").select_option("latency_ms")
    shaded = [
        points for name, points in drawn(page)["series"].items() if name.startswith("On the front, shade")
    ]
    assert sum(map(len, shaded)) == 7
    page.get_by_test_id("shade").select_option("")
    page.get_by_test_id("front-slider").focus()
    page.keyboard.press("Home")
    page.clock.run_for(500)
    expect(page.get_by_test_id("front-then")).to_contain_text("front 1 of 12, hypervolume")
    expect(page.get_by_test_id("front-then")).to_contain_text("1 trial")
    [member] = of_study(server_url, study_id, "/pareto_front?sequence=1")["points"]
    place = [member["metrics"]["trainable_parameters"], member["metrics"]["score"]]
    assert drawn(page)["series"]["Former front"] == [place]
    page.get_by_role("button", name="Now", exact=True).click()
    assert "Former front" not in drawn(page)["series"]
    page.locator("[data-bound=score] input").focus()
    page.keyboard.press("End")
    assert len(drawn(page)["series"]["On the front"]) == 1
    assert len(drawn(page)["series"]["On the front, outside"]) == 6
    page.locator("[data-bound=score] input").press("Home")
    _told_of_news(page, study_id)
    _measured_so_far(page, server_url, study_id)
    page.route("**/module_maps*", lambda route: route.abort())
    page.get_by_role("button", name="Trial 6", exact=True).click()
    expect(page.get_by_test_id("details")).to_contain_text("could not be read")
    expect(page.get_by_test_id("learning-curve")).to_be_visible()
    page.unroute("**/module_maps*")
    page.get_by_role("button", name="Trial 7", exact=True).click()
    expect(page.get_by_test_id("trial-modules")).to_be_visible()
    own = of_study(server_url, study_id, f"/module_maps?trial_id={_id_of(server_url, study_id, 7)}")
    sizes = [size for layer in own["sizes"][0] for size in layer]
    assert [cell[2] for cell in page.evaluate(HEATMAP, "trial-modules")] == sizes
    assert findings(page) == []


def _told_of_news(page: Page, study_id: str) -> None:
    """A brush holds for new trials, too, while another tab is open; the front of then keeps its words."""
    page.get_by_test_id("understand").scroll_into_view_if_needed()
    page.get_by_test_id("brush-axis").select_option("objective score")
    page.get_by_test_id("brush-low").select_option(label="0.748")
    page.get_by_test_id("tab-failures").click()
    then = page.get_by_test_id("front-then")
    page.get_by_test_id("front-slider").press("Home")
    page.clock.run_for(500)
    expect(then).to_have_text(re.compile("front 1 of 12, .*: 1 trial"))
    before = drawn(page)["series"]
    add_result(study_id, 0.75, 200_000)
    page.clock.run_for(2000)
    # The last part of the page to be told of news.
    expect(page.get_by_test_id("trials")).to_contain_text("200,000")
    expect(then).to_have_text(re.compile("front 1 of 12, .*: 1 trial"))
    series = drawn(page)["series"]
    assert series["Dominated"] == [*before["Dominated"], [200_000, 0.75]]
    assert len(series["Dominated, outside"]) == 3
    page.get_by_role("button", name="Now", exact=True).click()
    page.get_by_test_id("tab-parallel").click()
    page.get_by_test_id("brush-clear").click()


def _measured_so_far(page: Page, server_url: str, study_id: str) -> None:
    """A running trial stands at its last measurement, moves with the next, and no word calls it a result."""
    claimed = claim_and_measure(CURVE[:1])
    for step, score in ((1, CURVE[0]["score"]), (2, 0.65)):
        if step > 1:
            leases.record_measurement(
                claimed.trial_id, claimed.attempt, Measurement(step=step, metrics={"score": score})
            )
        page.clock.run_for(2000)
        row = page.get_by_test_id(f"trial-{claimed.number}")
        [progress] = of_study(server_url, study_id, "/trial_columns")["progress"]
        expect(row.locator(".reason")).to_have_text(f"step {step} of {progress['steps']}")
        expect(row).to_contain_text(f"{score:.3f} so far")
        trained = progress["exact"]["trainable_parameters"]
        expect(row).to_contain_text(f"{trained:,.0f}")
        assert drawn(page)["series"]["Under way, measured so far"] == [[trained, score]]
    expect(page.get_by_test_id("pareto-chart")).to_have_attribute(
        "aria-label", re.compile("1 trial under way, measured so far")
    )


def test_a_row_keeps_the_focus_when_it_is_scrolled_away(page: Page, server_url: str) -> None:
    """It stays on the page, so that the keyboard goes on from where it was."""
    open_study(page, server_url, import_in_batches(server_url, 60))
    button = page.get_by_role("button", name="Trial 59", exact=True)
    button.focus()
    frame = page.locator(".scroll", has=page.get_by_test_id("trials"))
    frame.evaluate("(element) => { element.scrollTop = element.scrollHeight; }")
    expect(page.get_by_role("button", name="Trial 0", exact=True)).to_be_visible()
    expect(button).to_be_focused()
    expect(page.get_by_test_id("trial-59")).to_have_attribute("aria-rowindex", "2")


def _id_of(server_url: str, study_id: str, number: int) -> str:
    trials = of_study(server_url, study_id, "/trials")["trials"]
    return str(trials[number]["id"])
