"""Deciding in the browser: bounds, what they cost, points side by side, and the accepted one to take home."""

import io
import zipfile
from hashlib import sha256
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from service.artifacts.artifact_store import artifact_store
from tests.browser.studies import SERIAL_24, add_result, create_study, finish_trial, open_study, queue_trial
from tests.conftest import API_KEY

FILES = {"weights.safetensors": bytes(range(256)) * 5, "adapter_config.json": b"{}"}


def add_with_files(study_id: str, score: float, trained: int) -> None:
    """Add a result that has left files in the artifact store."""
    with artifact_store().new_folder("a-trial") as folder:
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
    records = tuple(
        ArtifactRecord(
            name=name,
            path=f"a-trial/{name}",
            sha256=sha256(content).hexdigest(),
            size_bytes=len(content),
        )
        for name, content in FILES.items()
    )
    queue_trial(study_id, SERIAL_24)
    metrics = {"score": score, "trainable_parameters": float(trained)}
    finish_trial(TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, artifacts=records))


def test_bounds_leave_points_and_say_what_they_cost(page: Page, server_url: str) -> None:
    """By keyboard: each step is a point of the front; what is lost stands in the other objective's unit."""
    study_id = create_study(server_url, budget={"trials": 9})
    for score, trained in ((0.7, 1000), (0.75, 5000), (0.8, 20_000), (0.6, 50_000)):
        add_result(study_id, score, trained)
    open_study(page, server_url, study_id)
    remaining = page.get_by_test_id("remaining")
    expect(remaining).to_have_text("3 of 3 points of the front remain.")
    slider = page.get_by_role("slider", name="Trainable parameters")
    slider.press("ArrowRight")
    expect(remaining).to_have_text("2 of 3 points of the front remain.")
    expect(slider).to_have_attribute("aria-valuetext", "at most 5,000")
    expect(page.get_by_test_id("bounds")).to_contain_text("costs 0.050 in score")
    page.get_by_role("slider", name="Score").press("End")
    expect(remaining).to_contain_text("No point of the front keeps these bounds")


def test_a_front_of_one_point_can_be_accepted(page: Page, server_url: str) -> None:
    """It has nothing to bound, and still somebody decides."""
    study_id = create_study(server_url, budget={"trials": 9})
    add_result(study_id, 0.7, 1000)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("remaining")).to_have_text("1 of 1 point of the front remains.")
    expect(page.get_by_role("slider", name="Score")).to_be_disabled()
    page.get_by_test_id("pin-0").click()
    expect(page.get_by_role("button", name="Accept trial 0")).to_be_visible()


def test_a_pinned_point_is_accepted_and_taken_home(page: Page, server_url: str) -> None:
    """The study keeps who and why; the zip holds the trial's files as they are, and a snippet loads it."""
    study_id = create_study(server_url, budget={"trials": 9})
    add_result(study_id, 0.7, 1000)
    add_with_files(study_id, 0.8, 20_000)
    open_study(page, server_url, study_id)
    for number in (0, 1):
        page.get_by_test_id(f"pin-{number}").click()
    pinned = page.get_by_test_id("pinned")
    expect(pinned.get_by_role("columnheader")).to_have_text(["Trial 0", "Trial 1"])
    expect(pinned).to_contain_text("not known")
    page.get_by_role("button", name="Accept trial 1").click()
    page.get_by_test_id("accept-reason").fill("the phone has room for it")
    page.get_by_test_id("accept-confirm").click()
    accepted = page.get_by_test_id("accepted")
    expect(accepted).to_contain_text("Trial 1 was accepted")
    expect(accepted).to_contain_text("Because: the phone has room for it")
    expect(page.get_by_test_id("snippet")).to_contain_text('load_classifier("a-study-trial-1")')
    headers = {"Authorization": f"Bearer {API_KEY}"}
    kept = httpx.get(f"{server_url}/v1/studies/{study_id}", headers=headers).json()["accepted"]
    assert (kept["number"], kept["reason"]) == (1, "the phone has room for it")
    with page.expect_download() as download:
        page.get_by_test_id("download-accepted").click()
    assert download.value.suggested_filename == "a-study-trial-1.zip"
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(f"a-study-trial-1/{name}") for name in FILES} == FILES
