"""A study of 5,000 trials: every GET endpoint of the API, and asking and telling, one request at a time.

The endpoints come from `/openapi.json`, so that none is forgotten.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from api_schemas.studies import StudyState
from benchmarks.service.context import Context
from benchmarks.service.filling import ARTIFACTS, CUSTOM_STUDY, PEFT_STUDY, add_study
from benchmarks.service.load import Connection, seconds_of, summary_ms
from benchmarks.service.results import Measured
from service.settings import settings
from service.storage.database import transaction
from service.storage.ids import new_id
from service.storage.models import Artifact, Tenant, Trial
from service.storage.webhook_models import Webhook

TRIALS = 5_000
QUEUED = 220
TARGET_MS = 100.0
REQUESTS = 200
LARGEST_PAGE = "?page_size=500"
VARIANTS = {
    "/v1/studies/{study_id}/trials": ("", "?page_size=100", LARGEST_PAGE, "?page_token=4800"),
    "/v1/studies/{study_id}/events": ("", LARGEST_PAGE, "?after=39000"),
    "/v1/studies/{study_id}/recommendation": (
        "",
        "?weights=score:2&weights=latency_ms:1",
        "?at_most=trainable_parameters:100000",
    ),
}
METRICS = {"score": 0.7, "trainable_parameters": 30_000.0, "latency_ms": 7.0}


def measure(context: Context) -> Iterator[Measured]:
    """Time every endpoint."""
    study_id = add_study(PEFT_STUDY, ended=TRIALS, state=StudyState.SUCCEEDED)
    connection = context.connect()
    names = {"study_id": study_id, **_names(study_id)}
    for template, path in _paths(connection, names):
        assert connection.send("GET", path).status == 200, path
        taken = seconds_of(
            partial(connection.send, "GET", path), times=REQUESTS, at_most_seconds=context.seconds
        )
        # Whoever asks for the largest page asks for its time.
        target = {} if template.endswith(LARGEST_PAGE) else {"p99_ms": TARGET_MS}
        yield Measured(f"GET {template}", summary_ms(taken), at_most=target)
    yield from _asking_and_telling(context)


def _paths(connection: Connection, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    for template, operations in connection.send("GET", "/openapi.json").json()["paths"].items():
        if "get" in operations:
            for query in VARIANTS.get(template, ("",)):
                yield template + query, template.format(**names) + query


def _names(study_id: str) -> dict[str, str]:
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        # It gets nothing, for it is disabled.
        webhook = Webhook(
            id=new_id("whk"), tenant_id=tenant_id, url="https://example.org", event_types=[], secret="none",  # noqa: S106
            disabled_at=func.now(),
        )  # fmt: skip
        session.add(webhook)
        trial_id = session.scalars(
            select(Trial.id).where(Trial.study_id == study_id).order_by(Trial.number).limit(1)
        ).one()
        artifact = session.get_one(Artifact, (trial_id, ARTIFACTS[0]))
        file = Path(settings().artifacts_url) / artifact.path
        file.parent.mkdir(parents=True, exist_ok=True)
        artifact.size_bytes = 100_000  # a file of another size counts as lost
        file.write_bytes(b"0" * artifact.size_bytes)
        return {"trial_id": trial_id, "name": ARTIFACTS[0], "webhook_id": webhook.id}


def _asking_and_telling(context: Context) -> Iterator[Measured]:
    study_id = add_study(
        CUSTOM_STUDY, ended=TRIALS, queued=QUEUED, parallelism=QUEUED, state=StudyState.ACTIVE
    )
    connection = context.connect()
    base = f"/v1/studies/{study_id}/trials"
    taken: list[dict[str, Any]] = []

    def suggest() -> None:
        body = {"worker_id": f"runner-{len(taken)}"}
        taken.extend(connection.send("POST", f"{base}:suggest", body=body).json()["trials"])

    def tell(verb: str, trials: list[dict[str, Any]], **body: Any) -> None:
        trial = trials.pop()
        answer = connection.send(
            "POST", f"{base}/{trial['trial_id']}:{verb}", body={"attempt": trial["attempt"], **body}
        )
        assert answer.status == 200, answer.body

    calls = {
        "trials:suggest": suggest,
        "{trial_id}:heartbeat": lambda: tell("heartbeat", heartbeats),
        "{trial_id}:report": lambda: tell("report", reports, step=1, metrics=METRICS),
        "{trial_id}:complete": lambda: tell("complete", completions, state="SUCCEEDED", metrics=METRICS),
    }
    heartbeats: list[dict[str, Any]] = []
    reports: list[dict[str, Any]] = []
    completions: list[dict[str, Any]] = []
    for name, call in calls.items():
        heartbeats, reports, completions = list(taken), list(taken), list(taken)
        seconds = seconds_of(call, times=REQUESTS, at_most_seconds=60.0)
        yield Measured(f"POST {name}, {TRIALS:,} trials", summary_ms(seconds), at_most={"p99_ms": TARGET_MS})
