"""What can be taken home from the page: tables with the numbers of the API, plots as pictures."""

import csv
import io
import json
from pathlib import Path

import httpx
from playwright.sync_api import Page, Route, expect

from tests.browser.studies import add_result, create_study, open_study
from tests.conftest import API_KEY


def saved(page: Page, name: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    return Path(download.value.path()).read_bytes()


def test_tables_leave_with_the_numbers_of_the_api(page: Page, server_url: str) -> None:
    """Unrounded, in the table's order, as CSV and as JSON; the list of studies, too."""
    study_id = create_study(server_url, display_name='a "quoted", long name')
    add_result(study_id, 0.712345678, 98_690)
    add_result(study_id, 0.8, 1_234_567)
    open_study(page, server_url, study_id)
    rows = list(csv.DictReader(io.StringIO(saved(page, "Save trials as CSV").decode())))
    headers = {"Authorization": f"Bearer {API_KEY}"}
    trials = httpx.get(f"{server_url}/v1/studies/{study_id}/trials", headers=headers).json()["trials"]
    assert [row["number"] for row in rows] == ["1", "0"]
    for row, trial in zip(rows, reversed(trials), strict=True):
        assert {name: float(row[f"metrics.{name}"]) for name in trial["metrics"]} == trial["metrics"]
        assert (row["state"], row["modules"]) == (trial["state"], trial["modules"])
    kept = json.loads(saved(page, "Save trials as JSON"))
    assert [row["id"] for row in kept] == [trial["id"] for trial in reversed(trials)]
    page.get_by_role("link", name="All studies").click()
    listed = list(csv.DictReader(io.StringIO(saved(page, "Save list as CSV").decode())))
    assert [row["display_name"] for row in listed] == ['a "quoted", long name']


def test_nothing_is_offered_before_it_is_read(page: Page, server_url: str) -> None:
    """A file without rows would look like a study without trials."""
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 98_690)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/trial_columns*", hold)
    page.goto(f"{server_url}/#key={API_KEY}&study={study_id}")
    expect(page.get_by_test_id("reading")).to_be_visible()
    for name in ("trials as CSV", "importance as JSON", "Pareto front as PNG", "hypervolume as SVG"):
        expect(page.get_by_role("button", name=f"Save {name}", exact=True)).to_have_count(0)
    held.pop().continue_()
    assert len(saved(page, "Save trials as CSV").splitlines()) == 2


def test_plots_leave_as_pictures(page: Page, server_url: str) -> None:
    """The plot as PNG and as SVG, the learning curve of the chosen trial as SVG."""
    study_id = create_study(server_url)
    add_result(study_id, 0.7, 98_690)
    open_study(page, server_url, study_id)
    assert saved(page, "Save Pareto front as PNG").startswith(b"\x89PNG")
    picture = saved(page, "Save Pareto front as SVG").decode()
    assert picture.startswith("<svg")
    assert "Trainable parameters" in picture
    assert saved(page, "Save hypervolume as SVG").startswith(b"<svg")
    page.get_by_role("button", name="Trial 0", exact=True).click()
    runs = page.get_by_test_id("runs")
    expect(runs).to_contain_text("a worker")
    assert saved(page, "Save learning curve of trial 0 as SVG").startswith(b"<svg")
    page.keyboard.press("Escape")
    expect(runs).to_have_count(0)
    expect(page.get_by_role("button", name="Trial 0", exact=True)).to_be_focused()
