"""What Prometheus may scrape at /metrics.

What the whole deployment has done stands in Postgres and is read there, so every API process tells the
same. HTTP requests are measured by the process that serves them: scrape each.
"""

import secrets
from collections.abc import Iterator
from http import HTTPStatus
from ipaddress import ip_address

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from service.api.protocol.problems import documented
from service.errors import ServiceError, Unauthorized
from service.settings import settings
from service.storage.counters import CounterName, totals
from service.storage.database import engine
from service.storage.heartbeats import seconds_since_sweep
from service.storage.models import Replicate, Study
from service.trials.worker_health import degraded_hosts

log = structlog.get_logger(__name__)

router = APIRouter(tags=["health"])

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Seconds: from a cached read to a data set that is downloaded first."""

COUNTED = {
    CounterName.TRIAL_SECONDS: "Seconds that workers, one GPU or core each, gave to attempts that reported.",
    CounterName.LEASE_EXPIRIES: "Attempts whose worker went silent.",
    CounterName.TURN_FAILURES: "Turns of studies in which the study worker failed, was killed or ran "
    "out of time.",
    CounterName.PARKED_STUDIES: "Studies that were paused because the study worker failed on them again "
    "and again.",
}


class MetricsNotForYou(ServiceError, status=HTTPStatus.FORBIDDEN):
    """Metrics are for this host only.

    Scrape from the host itself, or set `PARETUNE_METRICS_TOKEN` and send it as `Authorization: Bearer TOKEN`.
    """


class HttpMetrics:
    """The requests of this process, and the registry that a scrape reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(Deployment())
        ProcessCollector(registry=self.registry)
        self._requests = Histogram(
            "paretune_http_request_seconds",
            "Seconds from a request to the end of its answer. Streams of events are not among them.",
            labelnames=("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.event_streams = Gauge(
            "paretune_event_streams", "Streams of events that are open.", registry=self.registry
        )

    def observe(self, method: str, route: str, *, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).observe(seconds)


class Deployment(Collector):
    """What Postgres knows, read when it is scraped: three small queries and one over open trials."""

    def describe(self) -> list[Metric]:
        """Promise nothing: without this, registering would read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read it; a database that is away is a metric, too."""
        try:
            with Session(engine()) as session:
                read = [*_trials(session), _studies(session), *_sums(session), *_liveness(session)]
        except OperationalError as error:
            log.warning("the database is away; only this process is measured", reason=type(error).__name__)
            read = []
        yield GaugeMetricFamily("paretune_database_up", "Whether Postgres answers.", value=bool(read))
        yield from read


@router.get("/metrics", response_class=Response, responses=documented(401, 403))
def metrics(request: Request) -> Response:
    """Give everything in the text format of Prometheus, to this host or to whoever has the token.

    Raises:
        Unauthorized: If there is a token and the request has another.
        MetricsNotForYou: If there is none, and the request comes from elsewhere.
    """
    _check_scraper(request)
    measured: HttpMetrics = request.app.state.http_metrics
    return Response(generate_latest(measured.registry), media_type=CONTENT_TYPE_LATEST)


def _check_scraper(request: Request) -> None:
    token = settings().metrics_token
    if token is not None:
        expected = f"Bearer {token.get_secret_value()}"
        if not secrets.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            raise Unauthorized("Send PARETUNE_METRICS_TOKEN as 'Authorization: Bearer TOKEN'.")
    elif request.client is None or not _is_loopback(request.client.host):
        raise MetricsNotForYou("Set PARETUNE_METRICS_TOKEN on the server, and send it from elsewhere.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _trials(session: Session) -> Iterator[Metric]:
    rows = session.execute(
        select(Replicate.state, Study.state, func.count())
        .join(Study, Study.id == Replicate.study_id)
        .where(Replicate.state.in_([TrialState.QUEUED, TrialState.RUNNING]))
        .group_by(Replicate.state, Study.state)
    )
    counts = {(state, study_state): number for state, study_state, number in rows}
    queued = counts.get((TrialState.QUEUED, StudyState.ACTIVE), 0)
    running = sum(number for (state, _), number in counts.items() if state is TrialState.RUNNING)
    yield GaugeMetricFamily(
        "paretune_queued_trials", "Seeds of trials of active studies that wait for a worker.", value=queued
    )
    yield GaugeMetricFamily("paretune_running_trials", "Seeds of trials that a worker holds.", value=running)


def _studies(session: Session) -> Metric:
    counts = dict.fromkeys(StudyState, 0)
    for state, number in session.execute(select(Study.state, func.count()).group_by(Study.state)):
        counts[state] = number
    family = GaugeMetricFamily("paretune_studies", "Studies by state.", labels=["state"])
    for state, number in counts.items():
        family.add_metric([state], number)
    return family


def _sums(session: Session) -> Iterator[Metric]:
    sums = totals(session)
    yield SummaryMetricFamily(
        "paretune_proposal_seconds",
        "Seconds the optimiser took to propose.",
        count_value=int(sums[CounterName.PROPOSALS]),
        sum_value=sums[CounterName.PROPOSAL_SECONDS],
    )
    for name, described in COUNTED.items():
        yield CounterMetricFamily(f"paretune_{name}", described, value=sums[name])


def _liveness(session: Session) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "paretune_degraded_hosts",
        "Hosts whose trial workers take no trials: no disk space, or no artifact store.",
        value=degraded_hosts(session),
    )
    silent = seconds_since_sweep(session)
    if silent is not None:
        yield GaugeMetricFamily(
            "paretune_reaper_lag_seconds", "Seconds since expired leases were last looked for.", value=silent
        )
