"""Studies and results to look at, made through the service's own doors, and how tests look at them.

No worker runs: results come in through `service.leases`, the door that workers use.
"""

import uuid
from typing import Any

import httpx
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from api_schemas.trials import Measurement, TrialReport, TrialState
from service import leases
from service.database import transaction
from service.models import Study, Trial
from service.studies import lifecycle
from tests.conftest import API_KEY, study_body

POLL_MS = 2000
HEAD_ONLY: Parameterization = {f"peft.active_layers.{layer}": False for layer in range(6)}
SERIAL_24: Parameterization = {"peft.serial_adapter.bottleneck_size": 24}

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
  element.scrollIntoView();
  const chart = getInstanceByDom(element);
  const index = chart.getOption().series.findIndex((one) => one.id === name);
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


def finish_trial(report: TrialReport, *, measurements: tuple[float, ...] = ()) -> None:
    claimed = leases.claim("a worker")
    assert claimed is not None
    for step, score in enumerate(measurements):
        leases.record_measurement(
            claimed.trial_id, claimed.attempt, Measurement(step=step, metrics={"score": score})
        )
    leases.complete(claimed.trial_id, claimed.attempt, report)


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
        measurements=(score - 0.1, score),
    )


def open_study(page: Page, server_url: str, study_id: str) -> None:
    page.goto(f"{server_url}/#key={API_KEY}&study={study_id}")
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
