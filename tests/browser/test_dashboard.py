"""The dashboard in a real browser, on the real service and a real Postgres.

No worker runs: results come in through `service.leases`, the door that workers use.
"""

import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api_schemas.search_space import ParameterValue
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from api_schemas.trials import Measurement, TrialReport, TrialState
from service import leases
from service.app import create_app
from service.database import transaction
from service.models import Study
from service.studies import lifecycle
from tests.conftest import API_KEY, study_body

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no `chromium` on the PATH; on Debian: apt-get install chromium"
    ),
]

POLL_MS = 2000
HEAD_ONLY: dict[str, ParameterValue] = {f"peft.active_layers.{layer}": False for layer in range(6)}
SERIAL_24: dict[str, ParameterValue] = {"peft.serial_adapter.bottleneck_size": 24}

# What the plot draws, as its library knows it: series by name, and where on the page a point stands.
DRAWN = """async () => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  const chart = getInstanceByDom(document.querySelector('[data-testid="pareto-chart"]'));
  const { series, xAxis, yAxis } = chart.getOption();
  const values = (one) => one.data.map((point) => point.value ?? point);
  return {
    series: Object.fromEntries(series.map((one) => [one.id, values(one)])),
    x: xAxis[0].type, y: yAxis[0].name,
  };
}"""
PLACE_OF = """async ([name, position]) => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  const element = document.querySelector('[data-testid="pareto-chart"]');
  const chart = getInstanceByDom(element);
  const index = chart.getOption().series.findIndex((one) => one.id === name);
  const { value } = chart.getOption().series[index].data[position];
  const [x, y] = chart.convertToPixel({ seriesIndex: index }, value);
  const box = element.getBoundingClientRect();
  return [box.x + x, box.y + y];
}"""


@contextmanager
def serving(port: int) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def url(service_environment: None, port: int) -> Iterator[str]:
    with serving(port) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM,
            chromium_sandbox=False,
            args=["--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1366, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    # Time can be turned forward, so that no test waits for the next poll.
    opened.clock.install()
    yield opened
    context.close()
    # The browser itself reports requests that the service refused; everything else is a fault of the page.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def create_study(url: str, **changes: object) -> str:
    answer = httpx.post(
        f"{url}/v1/studies", json=study_body(**changes), headers={"Authorization": f"Bearer {API_KEY}"}
    )
    assert answer.status_code == 201, answer.text
    study_id: str = answer.json()["id"]
    return study_id


def queue_trial(study_id: str, parameters: dict[str, ParameterValue]) -> None:
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        base = TrialConfiguration.model_validate(study.configuration)
        lifecycle.add_trial(
            session,
            study,
            parameters=parameters,
            configuration=canonical(patch(base, parameters)).model_dump(mode="json"),
            configuration_key=uuid.uuid4().hex,
            generated_by="quasi-random",
            proposal_seconds=0.0,
        )


def finish_trial(report: TrialReport, *, measurements: tuple[float, ...] = ()) -> None:
    claimed = leases.claim("a worker")
    assert claimed is not None
    for step, score in enumerate(measurements):
        leases.record_measurement(
            claimed.trial_id, claimed.attempt, Measurement(step=step, metrics={"score": score})
        )
    leases.complete(claimed.trial_id, claimed.attempt, report)


def add_result(
    study_id: str, score: float, trained: int, *, parameters: Mapping[str, ParameterValue] = SERIAL_24
) -> None:
    queue_trial(study_id, dict(parameters))
    metrics = {"score": score, "trainable_parameters": float(trained)}
    finish_trial(
        TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, test_metrics={"score": score - 0.01}),
        measurements=(score - 0.1, score),
    )


def open_study(page: Page, url: str, study_id: str) -> None:
    page.goto(f"{url}/#key={API_KEY}&study={study_id}")
    expect(page.get_by_test_id("study-name")).not_to_be_empty()


def poll(page: Page) -> None:
    page.clock.run_for(POLL_MS)


def requests_of_a_poll(page: Page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    poll(page)
    page.wait_for_timeout(300)
    return asked


def drawn(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(DRAWN)
    return found


def numbers_in_table(page: Page) -> list[str]:
    return page.get_by_test_id("trials").locator("tbody tr td:first-child").all_inner_texts()


@pytest.mark.parametrize(
    ("key", "reason"), [("pt_wrong", "This API key is not known here"), ("two%20words", "no spaces")]
)
def test_a_wrong_key_leads_back_to_the_form_with_the_reason(
    page: Page, url: str, key: str, reason: str
) -> None:
    """The form says what is wrong; the right key then opens the list."""
    page.goto(f"{url}/#key={key}")
    expect(page.get_by_test_id("key-problem")).to_contain_text(reason)
    page.get_by_test_id("api-key").fill("two words")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("key-problem")).to_contain_text("no spaces")
    page.get_by_test_id("api-key").fill(API_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("no-study")).to_be_visible()


def test_the_key_leaves_the_address_bar_and_stays_in_the_tab(page: Page, url: str) -> None:
    """It is moved to the session, so a reload needs no key in the address."""
    page.goto(f"{url}/#key={API_KEY}")
    expect(page.get_by_test_id("no-study")).to_contain_text("paretune run examples/rotten-tomatoes.yaml")
    assert page.url == f"{url}/"
    page.reload()
    expect(page.get_by_test_id("no-study")).to_be_visible()
    page.get_by_test_id("forget-key").click()
    page.reload()
    expect(page.get_by_test_id("key-form")).to_be_visible()


def test_an_unknown_study_is_said_to_be_unknown(page: Page, url: str) -> None:
    """The problem's detail is shown, and the page does not go on asking."""
    page.goto(f"{url}/#key={API_KEY}&study=std_0")
    expect(page.get_by_test_id("connection-problem")).to_contain_text("std_0")
    assert requests_of_a_poll(page) == []


def test_a_name_that_looks_like_markup_stays_text(page: Page, url: str) -> None:
    """Neither the list nor the study's page makes an element of it."""
    name = "<img src=x onerror=\"document.title='owned'\">"
    study_id = create_study(url, display_name=name)
    page.goto(f"{url}/#key={API_KEY}")
    page.get_by_test_id(f"study-{study_id}").get_by_role("link", name=name).click()
    expect(page.get_by_test_id("study-name")).to_have_text(name)
    assert page.locator("main img").count() == 0
    assert page.title() == f"{name} · Paretune"


def test_a_service_that_goes_away_is_noticed_and_found_again(
    page: Page, service_environment: None, port: int
) -> None:
    """What was shown stays, with a banner that goes when the service is back."""
    with serving(port) as url:
        study_id = create_study(url)
        open_study(page, url, study_id)
    poll(page)
    expect(page.get_by_test_id("connection-problem")).to_contain_text("does not answer")
    expect(page.get_by_test_id("study-name")).to_have_text("a study")
    with serving(port):
        poll(page)
        expect(page.get_by_test_id("connection-problem")).to_be_hidden()
        expect(page.get_by_test_id("liveness")).to_have_text("Live")
        page.goto("about:blank")


def test_the_list_shows_state_progress_and_the_best(page: Page, url: str) -> None:
    """Newest first, and each study with its own numbers."""
    older, newer = create_study(url, display_name="older"), create_study(url, display_name="newer")
    add_result(older, 0.7, 1000)
    add_result(older, 0.8125, 9000)
    page.goto(f"{url}/#key={API_KEY}")
    row = page.get_by_test_id(f"study-{older}")
    expect(row).to_contain_text("2 / 4 trials")
    expect(row).to_contain_text("0.813")
    expect(row.locator(".chip")).to_have_text("active")
    assert [text.split("\n")[0] for text in page.locator("tbody tr").all_inner_texts()] == ["newer", "older"]
    add_result(newer, 0.5, 10)
    poll(page)
    expect(page.get_by_test_id(f"study-{newer}")).to_contain_text("0.500")


def test_results_appear_while_the_page_is_open(page: Page, url: str) -> None:
    """Front, staircase, dominated and head-only points, numbers and table follow each result."""
    study_id = create_study(url)
    open_study(page, url, study_id)
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
    hypervolume = httpx.get(
        f"{url}/v1/studies/{study_id}", headers={"Authorization": f"Bearer {API_KEY}"}
    ).json()
    expect(page.get_by_test_id("hypervolume")).to_have_text(f"{hypervolume['hypervolume']:.4g}".ljust(5, "0"))


def test_a_study_that_has_ended_is_not_asked_about_again(page: Page, url: str) -> None:
    """The last poll shows everything; after it the page is quiet."""
    study_id = create_study(url, budget={"trials": 1})
    open_study(page, url, study_id)
    assert requests_of_a_poll(page) != []
    add_result(study_id, 0.8, 1000)
    poll(page)
    expect(page.get_by_test_id("study-state")).to_have_text("succeeded")
    expect(page.get_by_test_id("liveness")).to_have_text("Finished")
    expect(page.get_by_test_id("trial-0").locator(".chip")).to_have_text("succeeded")
    assert requests_of_a_poll(page) == []


def test_a_hidden_tab_asks_nothing_until_it_is_seen_again(page: Page, url: str) -> None:
    """The browser says when the tab is hidden and when it is back."""
    study_id = create_study(url)
    open_study(page, url, study_id)
    become = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); "
    become += "document.dispatchEvent(new Event('visibilitychange')); }"
    expect(page.get_by_test_id("liveness")).to_have_text("Live")
    page.evaluate(become, True)
    assert requests_of_a_poll(page) == []
    page.evaluate(become, False)
    assert requests_of_a_poll(page) != []


@pytest.mark.parametrize("state", [TrialState.INFEASIBLE, TrialState.FAILED])
def test_a_trial_that_came_to_nothing_says_why(
    page: Page, url: str, state: TrialState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State and reason stand in its row, and it is not drawn."""
    monkeypatch.setattr(leases.settings(), "max_attempts", 1, raising=False)
    study_id = create_study(url)
    queue_trial(study_id, SERIAL_24)
    finish_trial(TrialReport(state=state, reason="out-of-memory: 2 GiB asked for"))
    open_study(page, url, study_id)
    row = page.get_by_test_id("trial-0")
    expect(row.locator(".chip")).to_have_text(state.lower())
    expect(row.locator(".reason")).to_have_text("out-of-memory: 2 GiB asked for")
    expect(page.get_by_test_id("pareto-empty")).to_be_visible()


def test_a_click_on_a_point_selects_its_row(page: Page, url: str) -> None:
    """The row is marked, and the panel says what the trial trained."""
    study_id = create_study(url)
    add_result(study_id, 0.7, 770, parameters=HEAD_ONLY)
    add_result(study_id, 0.8, 98_690)
    open_study(page, url, study_id)
    expect(page.get_by_test_id("details")).to_contain_text("Best: trial 1")
    x, y = page.evaluate(PLACE_OF, ["Head only", 0])
    page.mouse.click(x, y)
    expect(page.get_by_test_id("details")).to_contain_text("Trial 0")
    expect(page.get_by_test_id("details")).to_contain_text("nothing but the classifier is trained")
    expect(page.get_by_test_id("trial-0")).to_have_attribute("data-selected", "")
    expect(page.locator("tr[data-selected]")).to_have_count(1)


def test_a_row_is_selected_by_keyboard(page: Page, url: str) -> None:
    """Its number is a button that says whether it is pressed, and keeps the focus through a poll."""
    study_id = create_study(url)
    add_result(study_id, 0.8, 98_690)
    open_study(page, url, study_id)
    button = page.get_by_role("button", name="Trial 0")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("details")).to_contain_text("serial adapter 24")
    expect(page.get_by_test_id("details")).to_contain_text("0.700 → 0.800")
    add_result(study_id, 0.9, 100_000)
    poll(page)
    expect(page.get_by_test_id("trial-1")).to_be_visible()
    expect(button).to_be_focused()


def test_the_table_is_sorted_by_the_column_that_is_clicked(page: Page, url: str) -> None:
    """Largest first, then smallest first; rows without a value stay last."""
    study_id = create_study(url)
    for score in (0.8, 0.9, 0.7):
        add_result(study_id, score, 1000)
    queue_trial(study_id, SERIAL_24)
    open_study(page, url, study_id)
    heading = page.get_by_test_id("trials").get_by_role("columnheader", name="Score", exact=True)
    heading.get_by_role("button").click()
    assert numbers_in_table(page) == ["1", "0", "2", "3"]
    expect(heading).to_have_attribute("aria-sort", "descending")
    heading.get_by_role("button").click()
    assert numbers_in_table(page) == ["2", "0", "1", "3"]
    expect(heading).to_have_attribute("aria-sort", "ascending")


def test_pause_and_resume_follow_the_state(page: Page, url: str) -> None:
    """Only the verb that the state allows can be clicked."""
    open_study(page, url, create_study(url))
    expect(page.get_by_test_id("resume")).to_be_disabled()
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("study-state")).to_have_text("paused")
    expect(page.get_by_test_id("pause")).to_be_disabled()
    page.get_by_test_id("resume").click()
    expect(page.get_by_test_id("study-state")).to_have_text("active")


def test_cancel_asks_first(page: Page, url: str) -> None:
    """Keeping it changes nothing, confirming ends the study."""
    open_study(page, url, create_study(url))
    page.get_by_test_id("cancel").click()
    page.get_by_test_id("cancel-keep").click()
    expect(page.get_by_test_id("cancel-dialog")).to_be_hidden()
    expect(page.get_by_test_id("study-state")).to_have_text("active")
    page.get_by_test_id("cancel").click()
    page.get_by_test_id("cancel-confirm").click()
    expect(page.get_by_test_id("study-state")).to_have_text("cancelled")
    expect(page.get_by_test_id("cancel")).to_be_disabled()


def test_a_verb_that_is_refused_says_why(page: Page, url: str) -> None:
    """Somebody else cancelled the study between two polls: the conflict's detail is shown."""
    study_id = create_study(url)
    open_study(page, url, study_id)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    assert httpx.post(f"{url}/v1/studies/{study_id}:cancel", headers=headers).status_code == 200
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("problem")).to_contain_text("The study is CANCELLED")
    expect(page.get_by_test_id("study-state")).to_have_text("cancelled")
    page.get_by_test_id("problem").get_by_role("button", name="Dismiss").click()
    expect(page.get_by_test_id("problem")).to_be_hidden()


def test_a_study_with_one_objective_lets_the_axes_be_chosen(page: Page, url: str) -> None:
    """The best so far over the trials at first, then over whatever else was measured."""
    study_id = create_study(url, objectives=[{"metric": "score", "direction": "maximize"}])
    for score, trained in ((0.7, 5000), (0.6, 1000), (0.8, 2000)):
        add_result(study_id, score, trained)
    open_study(page, url, study_id)
    expect(page.get_by_test_id("axes")).to_be_visible()
    assert drawn(page)["series"]["staircase"] == [[0, 0.7], [2, 0.8]]
    page.get_by_test_id("axis-x").select_option("trainable_parameters")
    assert drawn(page)["series"]["staircase"] == [[1000, 0.6], [2000, 0.8]]


def test_two_objectives_leave_nothing_to_choose(page: Page, url: str) -> None:
    """The second objective lies under the first."""
    study_id = create_study(url)
    add_result(study_id, 0.7, 5000)
    open_study(page, url, study_id)
    expect(page.get_by_test_id("axes")).to_be_hidden()
    assert re.match(r"Score \(validation.*more is better\)", drawn(page)["y"])


def test_a_long_study_is_shown_whole_and_read_in_parts(page: Page, url: str) -> None:
    """All 205 trials are there; a poll asks again only for the page that can still change."""
    study_id = create_study(url, budget={"trials": 300}, parallelism=300)
    for number in range(205):
        queue_trial(study_id, SERIAL_24)
        if number < 200:
            finish_trial(TrialReport(state=TrialState.INFEASIBLE, reason="a test"))
    open_study(page, url, study_id)
    expect(page.get_by_test_id("trials").locator("tbody tr")).to_have_count(205)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/trials" in request.url else None)
    with page.expect_response("**/hypervolume_history"):
        poll(page)
    assert [address.partition("?")[2] for address in asked] == ["page_size=200&page_token=199"]
    expect(page.get_by_test_id("trials").locator("tbody tr")).to_have_count(205)
