"""The whole story in the dashboard: a CSV, a study, a choice, an adapter that plain peft loads."""

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from paretune.client import Client
from paretune.local import Stack
from service.catalogue.backbones import by_name
from tests.browser.chromium import chromium
from tests.end_to_end.test_documents import reviews

pytestmark = [pytest.mark.slow, pytest.mark.browser]

TRAINING_MS = 180_000
LOAD = """
import sys
import torch
from peft import PeftModel
from transformers import AutoModel

bare = AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
ids = torch.tensor([[101, 1037, 2143, 102]])
with torch.inference_mode():
    before = bare(input_ids=ids).last_hidden_state.clone()
    after = PeftModel.from_pretrained(bare, sys.argv[2]).eval()(input_ids=ids).last_hidden_state
print((after - before).abs().max().item())
"""
"""No code of ours."""


def test_a_csv_becomes_an_adapter_that_plain_peft_loads(
    shared_stack: tuple[Stack, Client], state_root: Path
) -> None:
    """Upload, start, watch, accept, download; every number is the API's.

    One trial, LoRA 8, with which the space begins: so there is something for peft on the front.
    """
    stack, client = shared_stack
    file = state_root / "reviews.csv"
    file.write_text(reviews(), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1366, "height": 900}, reduced_motion="reduce")
        page.goto(f"{stack.url}/#key={stack.api_key}")
        _start(page, file)
        expect(page.get_by_test_id("study-state")).to_have_text("succeeded", timeout=TRAINING_MS)
        study_id = page.url.rpartition("study=")[2]
        _numbers_are_those_of_the_api(page, client, study_id)
        archive = _accepted(page)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(state_root)
        folder = state_root / Path(files.namelist()[0]).parts[0]
    source = by_name.backbone_directory("all-MiniLM-L6-v2", models_dir=None)
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, str(source), str(folder)],
        capture_output=True, text=True, check=True, cwd=state_root,
        env={"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert float(loaded.stdout) > 0


def _start(page: Page, file: Path) -> None:
    page.get_by_role("link", name="New study").first.click()
    page.get_by_test_id("upload").set_input_files(file)
    expect(page.get_by_test_id("first-rows").locator("tbody tr")).to_have_count(5)
    for name, value in (("trials", "1"), ("epochs", "1")):
        page.get_by_test_id(f"field-{name}").fill(value)
    page.get_by_test_id("field-space").select_option("lora")
    expect(page.get_by_test_id("yaml")).to_contain_text("trials: 1")
    expect(page.get_by_test_id("outcome")).to_contain_text("It can run")
    page.get_by_test_id("start").click()


def _numbers_are_those_of_the_api(page: Page, client: Client, study_id: str) -> None:
    trials = {str(trial.number): trial for trial in client.trials(study_id)}
    with page.expect_download() as download:
        page.get_by_role("button", name="Save trials as CSV", exact=True).click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert {row["number"] for row in rows} == trials.keys()
    for row in rows:
        metrics = trials[row["number"]].metrics
        assert {name: float(row[f"metrics.{name}"]) for name in metrics} == metrics


def _accepted(page: Page) -> bytes:
    """Take the trial, and return the archive of its files."""
    page.get_by_test_id("pin-0").click()
    page.get_by_role("button", name="Accept trial 0").click()
    page.get_by_test_id("accept-reason").fill("it is what the task needs")
    page.get_by_test_id("accept-confirm").click()
    expect(page.get_by_test_id("accepted")).to_contain_text("Trial 0 was accepted")
    with page.expect_download() as download:
        page.get_by_test_id("download-accepted").click()
    return Path(download.value.path()).read_bytes()
