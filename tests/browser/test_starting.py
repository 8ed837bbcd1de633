"""Starting a study in the browser: from a file of one's own, and from a study that is there."""

import re
from pathlib import Path

import httpx
import yaml
from playwright.sync_api import Page, Route, expect

from tests.browser.accessibility import findings, width_on_a_narrow_page
from tests.browser.studies import add_result, asked, create_study
from tests.conftest import API_KEY

ROWS = [("words", "mood"), *((f"text {number}", "good" if number % 4 else "bad") for number in range(80))]
# The answers that the page has read: once one stands there, the page has done with it what it does.
TELLS_WHAT_IS_READ = """() => {
  const { json } = Response.prototype;
  window.answersRead = [];
  Response.prototype.json = async function () {
    const value = await json.call(this);
    window.answersRead.push(this.url);
    return value;
  };
}"""
HAS_READ = "(end) => window.answersRead.some((url) => url.endsWith(end))"
UNUSABLE = [("text 1", "good"), ("", "good"), ("no label", "")]


def test_a_study_starts_from_a_file(page: Page, server_url: str, tmp_path: Path) -> None:
    """Upload, look at the rows, mend what is refused at its field, start; the numbers are the API's."""
    file = tmp_path / "my reviews.csv"
    file.write_text("".join(f"{text},{label}\n" for text, label in (*ROWS, *UNUSABLE)))
    page.goto(f"{server_url}/#key={API_KEY}")
    page.get_by_role("link", name="New study").first.click()
    expect(page.get_by_test_id("outcome")).to_contain_text("It can run")
    page.get_by_test_id("field-task").select_option("hub:")
    page.get_by_test_id("field-hub").fill("no organisation")
    expect(page.locator(".field", has=page.get_by_test_id("field-hub")).get_by_role("alert")).to_be_visible()
    page.get_by_test_id("upload").set_input_files(file)
    expect(page.get_by_test_id("field-label_column")).to_have_value("mood")
    _another_file_is_chosen_at_once(page, tmp_path)
    expect(page.get_by_test_id("first-rows").locator("tbody tr")).to_have_count(5)
    expect(page.get_by_test_id("label-counts").locator("tr")).to_have_text(
        [re.compile("bad.*20"), re.compile("good.*60")]
    )
    expect(page.get_by_test_id("left-out")).to_contain_text(
        "empty texts (1), missing labels (1), repeated texts (1)"
    )
    expect(page.get_by_test_id("estimate")).to_contain_text("No estimate of the time")

    page.get_by_test_id("field-label_column").fill("none")
    label = page.locator(".field", has=page.get_by_test_id("field-label_column"))
    expect(label.get_by_role("alert")).to_contain_text("none")
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("field-label_column")).to_be_focused()
    assert findings(page) == []
    assert width_on_a_narrow_page(page) <= 400
    page.get_by_test_id("field-label_column").fill("mood")
    expect(label.get_by_role("alert")).to_have_count(0)
    page.get_by_test_id("field-trials").fill("7")
    page.get_by_test_id("field-tags").fill("mine, small")
    page.get_by_test_id("field-space").select_option("lora")
    expect(page.get_by_test_id("yaml")).to_contain_text("trials: 7")
    expect(page.get_by_test_id("outcome")).to_contain_text("It can run")
    with page.expect_download() as saved:
        page.get_by_test_id("save-yaml").click()
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("study-name")).to_have_text("all-MiniLM-L6-v2 on my-reviews.csv")
    (study,) = asked(server_url, "/studies")["studies"]
    assert (study["budget"]["trials"], study["tags"]) == (7, ["mine", "small"])
    assert page.url.endswith(f"#study={study['id']}")
    expect(page.get_by_test_id("study-meta")).to_contain_text(
        f"{len(study['search_space']['parameters'])} parameters searched"
    )
    expect(page.get_by_test_id("study-words")).to_have_text("Tags: mine, small.")
    written = yaml.safe_load(Path(saved.value.path()).read_text())
    posted = httpx.post(
        f"{server_url}/v1/studies:validate", json=written, headers={"Authorization": f"Bearer {API_KEY}"}
    )
    assert posted.json()["study"]["search_space"]["parameters"] == study["search_space"]["parameters"]


def _another_file_is_chosen_at_once(page: Page, folder: Path) -> None:
    """The columns are those of the file that was chosen last, and not of the one whose head came last."""
    task, label = page.get_by_test_id("field-task"), page.get_by_test_id("field-label_column")
    first = task.input_value()
    (folder / "other.csv").write_text("text,label\nwords,good\n")
    page.get_by_test_id("upload").set_input_files(folder / "other.csv")
    expect(label).to_have_value("label")
    other = task.input_value()
    held: list[Route] = []
    page.route("**/my-reviews.csv", lambda route: held.append(route), times=1)
    with page.expect_request("**/my-reviews.csv"):
        task.select_option(first)
    with page.expect_response("**/other.csv"):
        task.select_option(other)
    expect(page.get_by_test_id("first-rows")).to_contain_text("First rows of other.csv")
    page.evaluate(TELLS_WHAT_IS_READ)
    held[0].continue_()
    page.wait_for_function(HAS_READ, arg="/my-reviews.csv")
    expect(page.get_by_test_id("first-rows")).to_contain_text("First rows of other.csv")
    expect(label).to_have_value("label")
    task.select_option(first)
    expect(label).to_have_value("mood")


def lose_the_answer(route: Route) -> None:
    route.fetch()
    route.abort()


def test_a_study_is_cloned_and_extended_on_the_same_page(page: Page, server_url: str) -> None:
    """Only what was changed differs; without a connection nothing is lost, and nothing starts twice."""
    source = create_study(server_url, display_name="the first", tags=["paper"],
        budget={"trials": 1}, constraints=[
        {"metric": "latency_ms", "op": "<=", "bound": 9}
    ])  # fmt: skip
    add_result(source, 0.7, 1000)
    page.goto(f"{server_url}/#key={API_KEY}&clone={source}")
    expect(page.get_by_test_id("field-name")).to_have_value("the first (copy)")
    expect(page.get_by_test_id("yaml-card")).to_be_hidden()
    expect(page.get_by_test_id("outcome")).to_contain_text("It can run")
    expect(page.get_by_test_id("estimate")).to_have_text(
        re.compile(r"About [0-9.]+ s: 1 training of [0-9.]+ s, by 1 training of a study like it\.")
    )
    page.context.set_offline(True)
    page.get_by_test_id("field-epochs").fill("5")
    expect(page.get_by_test_id("outcome")).to_contain_text("Not checked")
    page.context.set_offline(False)
    expect(page.get_by_test_id("outcome")).to_contain_text("It can run")
    expect(page.get_by_test_id("connection-problem")).to_be_hidden()
    expect(page.get_by_test_id("estimate")).to_contain_text("No estimate of the time")
    page.get_by_test_id("field-import").check()
    page.route("**:clone", lose_the_answer)
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("problem")).to_contain_text("may not have been done")
    page.unroute("**:clone")
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("study-name")).to_have_text("the first (copy)")
    clone, first = asked(server_url, "/studies")["studies"]
    assert first["id"] == source
    same = ("search_space", "objectives", "constraints", "tags", "starting_points", "budget")
    assert {name: clone[name] for name in same} == {name: first[name] for name in same}
    assert clone["configuration"]["training"] == first["configuration"]["training"] | {"epochs": 5}

    page.get_by_test_id("extend").click()
    expect(page.get_by_test_id("field-backbone")).to_be_disabled()
    page.get_by_test_id("field-trials").fill("0")
    expect(
        page.locator(".field", has=page.get_by_test_id("field-trials")).get_by_role("alert")
    ).to_be_visible()
    page.get_by_test_id("field-trials").fill("3")
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("study-name")).to_be_visible()
    assert asked(server_url, f"/studies/{clone['id']}")["budget"]["trials"] == clone["budget"]["trials"] + 3
