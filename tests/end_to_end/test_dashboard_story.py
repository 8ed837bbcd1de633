"""The whole story in the dashboard: a CSV, a study, bounds, a choice, an adapter that plain peft loads."""

import csv
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.pareto import FrontBasis, ParetoPoint
from paretune.client import Client
from paretune.local import Stack
from service.catalogue.backbones import by_name
from tests.browser.chromium import chromium
from tests.end_to_end.stack import wait_for
from tests.end_to_end.test_documents import reviews

pytestmark = [pytest.mark.slow, pytest.mark.browser]

TRAINING_MS = 180_000
TRAINED = "trainable_parameters"
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
    """Upload, start, watch, compare, bound, accept, download; every number is the API's.

    One trial is trained, LoRA 8, with which the space begins: so there is something for peft on the front.
    The others are results from before, worse with smaller ranks and better with larger ones.
    """
    stack, client = shared_stack
    file = state_root / "reviews.csv"
    file.write_text(reviews(), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1366, "height": 900}, reduced_motion="reduce")
        page.goto(f"{stack.url}/#key={stack.api_key}")
        study_id = _start(page, file)
        _import_results_from_before(client, study_id)
        expect(page.get_by_test_id("study-state")).to_have_text("succeeded", timeout=TRAINING_MS)
        wait_for(stack, lambda: client.pareto_front(study_id).by is FrontBasis.BELIEVED, every=0.5)
        page.reload()
        _numbers_are_those_of_the_api(page, client, study_id)
        trained = next(trial for trial in client.trials(study_id) if trial.artifacts)
        points = client.pareto_front(study_id, by=FrontBasis.OBSERVED).points
        assert len(points) > 3
        _comparison_is_that_of_the_api(page, client, study_id, [trained.number, points[0].number])
        _bounds_leave_one_point(page, points)
        archive = _accepted(page, trained.number)
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


def _start(page: Page, file: Path) -> str:
    """Return the id of the study."""
    page.get_by_role("link", name="New study").first.click()
    page.get_by_test_id("upload").set_input_files(file)
    expect(page.get_by_test_id("first-rows").locator("tbody tr")).to_have_count(5)
    for name, value in (("trials", "1"), ("epochs", "1")):
        page.get_by_test_id(f"field-{name}").fill(value)
    page.get_by_test_id("field-space").select_option("lora")
    expect(page.get_by_test_id("yaml")).to_contain_text("trials: 1")
    expect(page.get_by_test_id("outcome")).to_contain_text("It can run")
    with page.expect_response(lambda answer: answer.status == 201) as created:
        page.get_by_test_id("start").click()
    return str(created.value.json()["id"])


def _import_results_from_before(client: Client, study_id: str) -> None:
    default = client.get_study(study_id).starting_points[0]
    observations = [
        ImportedObservation(
            parameters={**default, "peft.lora.rank": rank, "training.learning_rate": rate},
            metrics={"score": score + rate},
        )
        for rank, score in {1: 0.05, 2: 0.1, 4: 0.2, 16: 0.99, 32: 0.993, 64: 0.996}.items()
        for rate in (0.0005, 0.001)
    ]
    assert client.import_observations(study_id, observations).imported == len(observations)


def _numbers_are_those_of_the_api(page: Page, client: Client, study_id: str) -> None:
    trials = {str(trial.number): trial for trial in client.trials(study_id)}
    with page.expect_download() as download:
        page.get_by_role("button", name="Save trials as CSV", exact=True).click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert {row["number"] for row in rows} == trials.keys()
    for row in rows:
        metrics = trials[row["number"]].metrics
        assert {name: float(row[f"metrics.{name}"]) for name in metrics} == metrics


def _comparison_is_that_of_the_api(page: Page, client: Client, study_id: str, numbers: Sequence[int]) -> None:
    """The pinned points, and the default beside them if it is none of these; what is not known says so."""
    for number in numbers:
        page.get_by_test_id(f"pin-{number}").click()
    against = client.recommendation(study_id).against_default
    default = None if against is None else against.default_number
    shown = [*numbers, *([default] if default is not None and default not in numbers else [])]
    believed = [
        *client.pareto_front(study_id, by=FrontBasis.OBSERVED).points,
        *client.pareto_front(study_id).points,
    ]
    chances = {point.number: point.front_probability for point in believed}
    trials = {trial.number: trial for trial in client.trials(study_id)}
    table = page.get_by_test_id("pinned")
    expect(table.get_by_role("columnheader")).to_have_text(
        [f"Trial {number}{' (default)' if number == default else ''}" for number in shown]
    )
    for title, texts in {
        "Score": [_score(trials[number].metrics) for number in shown],
        "Trainable parameters": [f"{trials[number].metrics[TRAINED]:,.0f}" for number in shown],
        "Test score": [_score(trials[number].test_metrics) for number in shown],
        "Chance to be on the front": [_chance(chances.get(number)) for number in shown],
    }.items():
        row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=re.compile(f"^{title}")))
        expect(row.get_by_role("cell")).to_have_text(texts)
    assert any(chances.values())


def _bounds_leave_one_point(page: Page, points: Sequence[ParetoPoint]) -> None:
    """Step by step along the score: what remains, and how many more parameters the best of that trains."""
    slider = page.get_by_role("slider", name="Score")
    box = page.locator("[data-bound=score]")
    fewest = min(point.metrics[TRAINED] for point in points)
    _, *bounds = sorted({point.metrics["score"] for point in points})
    for bound in bounds:
        slider.press("ArrowRight")
        kept = [point for point in points if point.metrics["score"] >= bound]
        remain = "remains" if len(kept) == 1 else "remain"
        expect(page.get_by_test_id("remaining")).to_have_text(
            f"{len(kept)} of {len(points)} points of the front {remain}."
        )
        expect(box.get_by_role("status")).to_have_text(f"at least {_score({'score': bound})}")
        cost = min(point.metrics[TRAINED] for point in kept) - fewest
        expect(box).to_contain_text(f"costs {cost:,.0f} in parameters")
    assert len(kept) == 1
    expect(page.get_by_test_id(f"pin-{kept[0].number}")).to_be_visible()
    expect(page.get_by_role("list", name="Points that remain").get_by_role("listitem")).to_have_count(1)


def _score(metrics: Mapping[str, float]) -> str:
    """As the page writes it: half a thousandth is rounded up."""
    if "score" not in metrics:
        return "not measured"
    return str(Decimal(repr(metrics["score"])).quantize(Decimal("0.001"), ROUND_HALF_UP))


def _chance(chance: float | None) -> str:
    if chance is None:
        return "not known"
    if chance < 0.01:
        return "a chance below 1 %"
    return "a chance above 99 %" if chance > 0.99 else f"a chance of {int(100 * chance + 0.5)} %"


def _accepted(page: Page, number: int) -> bytes:
    """Take the trial, which is pinned, and return the archive of its files."""
    page.get_by_role("button", name=f"Accept trial {number}", exact=True).click()
    page.get_by_test_id("accept-reason").fill("it is what the task needs")
    page.get_by_test_id("accept-confirm").click()
    expect(page.get_by_test_id("accepted")).to_contain_text(f"Trial {number} was accepted")
    with page.expect_download() as download:
        page.get_by_test_id("download-accepted").click()
    return Path(download.value.path()).read_bytes()
