"""Studies and results to look at, made through the service's own doors, and how tests look at them.

No worker runs: results come in through `service.trials.leases`, the door that workers use.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from api_schemas.trials import ClaimedTrial, Measurement, TrialReport, TrialState
from service.storage.database import transaction
from service.storage.event_log import record_event
from service.storage.models import Replicate, Study, Trial
from service.trials import leases, lifecycle
from tests.conftest import API_KEY, study_body

POLL_MS = 2000
HEAD_ONLY: Parameterization = {f"peft.active_layers.{layer}": False for layer in range(6)}
SERIAL_24: Parameterization = {"peft.serial_adapter.bottleneck_size": 24}

CURVE = (
    {"score": 0.61, "loss": 0.69, "train_loss": 0.71},
    {"score": 0.68, "loss": 0.62, "train_loss": 0.6},
    {"score": 0.7, "loss": 0.6, "train_loss": 0.52},
)

# What the plot draws, as its library knows it: series by name, and where on the page a point stands.
DRAWN = """async (name) => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  const chart = getInstanceByDom(document.querySelector(`[data-testid="${name}"]`));
  const { series, xAxis, yAxis } = chart.getOption();
  const values = (one) => one.data.map((point) => point.value ?? point);
  return {
    series: Object.fromEntries(series.filter(Boolean).map((one) => [one.id, values(one)])),
    x: xAxis[0].type, y: yAxis[0].name,
  };
}"""
PLACE_OF = """async ([name, position]) => {
  const { getInstanceByDom } = await import("/static/vendor/echarts.esm.min.mjs");
  const element = document.querySelector('[data-testid="pareto-chart"]');
  element.scrollIntoView();
  const chart = getInstanceByDom(element);
  const index = chart.getOption().series.findIndex((one) => one?.id === name);
  const { value } = chart.getOption().series[index].data[position];
  const [x, y] = chart.convertToPixel({ seriesIndex: index }, value);
  const box = element.getBoundingClientRect();
  return [box.x + x, box.y + y];
}"""


def create_study(server_url: str, **changes: object) -> str:
    answer = httpx.post(
        f"{server_url}/v1/studies", json=study_body(**changes), headers={"Authorization": f"Bearer {API_KEY}"}
    )
    assert answer.status_code == 201, answer.text
    study_id: str = answer.json()["id"]
    return study_id


def asked(server_url: str, path: str) -> Any:
    answer = httpx.get(f"{server_url}/v1{path}", headers={"Authorization": f"Bearer {API_KEY}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def queue_trial(study_id: str, parameters: Parameterization) -> None:
    with transaction() as session:
        add_trial(session, session.get_one(Study, study_id, with_for_update=True), parameters)


def add_trial(session: Session, study: Study, parameters: Parameterization) -> Trial:
    base = TrialConfiguration.model_validate(study.configuration)
    return lifecycle.add_trial(
        session,
        study,
        parameters=dict(parameters),
        configuration=canonical(patch(base, parameters)).model_dump(mode="json"),
        configuration_key=uuid.uuid4().hex,
        generated_by="initial_design",
        proposal_seconds=0.0,
    )


def claim_and_measure(measurements: Sequence[dict[str, float]]) -> ClaimedTrial:
    claimed = leases.claim("a worker")
    assert claimed is not None
    for step, metrics in enumerate(measurements, start=1):
        leases.record_measurement(claimed.trial_id, claimed.attempt, Measurement(step=step, metrics=metrics))
    return claimed


def finish_trial(report: TrialReport, *, measurements: Sequence[dict[str, float]] = ()) -> None:
    claimed = claim_and_measure(measurements)
    leases.complete(claimed.trial_id, claimed.attempt, report)


def add_stopped(study_id: str, measurements: Sequence[dict[str, float]], *, reason: str) -> None:
    """Leave a trial as early stopping leaves it: with the metrics of its last measurement."""
    queue_trial(study_id, SERIAL_24)
    claimed = claim_and_measure(measurements)
    with transaction() as session:
        trial = session.get_one(Trial, claimed.trial_id)
        replicate = session.get_one(Replicate, (claimed.trial_id, claimed.replicate))
        replicate.lease_expires_at = None
        trial.metrics = dict(measurements[-1])
        for stopped in (trial, replicate):
            stopped.state = TrialState.STOPPED_EARLY
            stopped.state_reason = reason
            stopped.finished_at = datetime.now(UTC)
        study = session.get_one(Study, study_id, with_for_update=True)
        record_event(session, study, EventType.TRIAL_STOPPED_EARLY, trial=trial)


def add_seeds(study_id: str, scores: Sequence[float], trained: int, *, collapsed: bool = False) -> None:
    """Add a trial of a study with as many replicates as there are scores."""
    queue_trial(study_id, SERIAL_24)
    for score in scores:
        metrics = {"score": score, "trainable_parameters": float(trained), "collapsed": float(collapsed)}
        finish_trial(
            TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, test_metrics={"score": score - 0.01}),
            measurements=CURVE,
        )


def add_result(
    study_id: str,
    score: float,
    trained: int,
    *,
    parameters: Parameterization = SERIAL_24,
    latency_ms: float = 5.0,
) -> None:
    queue_trial(study_id, parameters)
    metrics = {"score": score, "trainable_parameters": float(trained), "latency_ms": latency_ms}
    finish_trial(
        TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, test_metrics={"score": score - 0.01}),
        measurements=({"score": score - 0.1}, {"score": score}),
    )


def open_study(page: Page, server_url: str, study_id: str) -> None:
    page.goto(f"{server_url}/#key={API_KEY}&study={study_id}")
    expect(page.get_by_test_id("study-name")).not_to_be_empty()
    expect(page.get_by_test_id("reading")).to_be_hidden()


def poll(page: Page) -> None:
    page.clock.run_for(POLL_MS)


def requests_of_a_poll(page: Page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    poll(page)
    page.wait_for_timeout(300)
    return asked


def drawn(page: Page, chart: str = "pareto-chart") -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(DRAWN, chart)
    return found


def numbers_in_table(page: Page) -> list[str]:
    return page.get_by_test_id("trials").locator("tbody.rows tr td:first-child").all_inner_texts()
