"""The configuration of Prometheus, its alerts and the dashboard ask for metrics that the service exports.

No Prometheus and no Grafana is started here.
"""

import json
import re
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from api_schemas.trials import TrialReport, TrialState
from service.api.app import create_app
from service.settings import settings
from service.trials import leases, sweeper
from tests.service.api.test_metrics import HERE, scraped
from tests.service.trials.test_leases import stored_study

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/paretune.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
PROMETHEUS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def expressions() -> dict[str, str]:
    """Give each question by the title of its panel or the name of its alert."""
    panels = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }
    return panels | {rule["alert"]: rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]}


def test_every_metric_that_is_asked_for_is_exported(service_environment: None) -> None:
    """A real scrape, of a service that has served a request and ended a trial, has each by its name."""
    client = TestClient(create_app(), client=HERE)
    stored_study(trials=1)
    claimed = leases.claim("worker")
    assert claimed is not None
    report = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})
    leases.complete(claimed.trial_id, claimed.attempt, report)
    sweeper.sweep_once()
    client.get("/healthz")
    exported = {name for name, *_ in scraped(client)} | {"up"}
    for title, expression in expressions().items():
        asked = set(re.findall(r"\b(?:paretune_[a-z_]+|process_[a-z_]+|up(?=\{))", expression))
        assert asked, title
        assert asked <= exported, title


def test_questions_are_balanced_and_of_different_panels() -> None:
    """What a hand breaks first in such a file: brackets, numbers of panels, places that overlap."""
    for title, expression in expressions().items():
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), title
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) == 23


def test_the_source_of_the_dashboard_is_chosen_where_it_is_imported() -> None:
    """No panel names a Prometheus of somebody else's."""
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    sources |= {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    assert sources == {"${source}"}
    assert [(one["name"], one["type"]) for one in DASHBOARD["templating"]["list"]] == [
        ("source", "datasource")
    ]


def test_prometheus_scrapes_the_api_with_the_token_of_its_secret(
    service_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that both containers read lets a scraper from elsewhere in, and another does not."""
    (job,) = PROMETHEUS["scrape_configs"]
    assert [target for group in job["static_configs"] for target in group["targets"]] == ["api:8080"]
    secret = job["authorization"]["credentials_file"]
    assert (
        secret == COMPOSE["api"]["environment"]["PARETUNE_METRICS_TOKEN_FILE"] == "/run/secrets/metrics_token"
    )
    assert "metrics_token" in COMPOSE["prometheus"]["secrets"]
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
    (tmp_path / "token").write_text("s3cret\n", encoding="ascii")
    monkeypatch.setenv("PARETUNE_METRICS_TOKEN_FILE", str(tmp_path / "token"))
    settings.cache_clear()
    elsewhere = TestClient(create_app(), client=("203.0.113.7", 50000))
    answers = [
        elsewhere.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in ("s3cret", "other")
    ]
    assert answers == [200, 401]
