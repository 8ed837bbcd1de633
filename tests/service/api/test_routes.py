"""The whole route table: every route asks for a scope, and another tenant's anything is not there.

Made from the table, so a new route is covered when it is added; one with a body needs an example here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from service.api.app import create_app
from service.api.dependencies import permit, permit_admin
from service.settings import settings
from service.trials import leases
from tests.conftest import OTHER_KEY, study_body
from tests.service.conftest import bearer
from tests.service.trials.test_leases import stored_study

RUNNERS = "/v1/studies/{study_id}/trials"
BODIES: dict[tuple[str, str], object] = {
    ("POST", "/v1/studies"): study_body(),
    ("POST", "/v1/studies:validate"): study_body(),
    ("POST", "/v1/tasks:preview"): {"name": "sms-spam"},
    ("POST", "/v1/keys"): {"name": "a key"},
    ("POST", "/v1/webhooks"): {"url": "https://1.1.1.1/"},
    ("POST", "/v1/webhooks/{webhook_id}:replay"): {"study_id": f"std_{'0' * 32}"},
    ("PATCH", "/v1/studies/{study_id}"): {"parallelism": 2},
    ("POST", "/v1/studies/{study_id}:extend"): {"trials": 1},
    ("POST", "/v1/studies/{study_id}:accept"): {"trial_id": f"trl_{'0' * 32}"},
    ("POST", "/v1/studies/{study_id}:clone"): {},
    ("POST", f"{RUNNERS}:suggest"): {"worker_id": "w"},
    ("POST", f"{RUNNERS}:import"): {"observations": [{"parameters": {}, "infeasible": "no"}]},
    ("POST", f"{RUNNERS}/{{trial_id}}:heartbeat"): {"attempt": 1},
    ("POST", f"{RUNNERS}/{{trial_id}}:log"): {"attempt": 1, "text": "a line"},
    ("POST", f"{RUNNERS}/{{trial_id}}:report"): {"attempt": 1, "step": 1, "metrics": {"score": 0.5}},
    ("POST", f"{RUNNERS}/{{trial_id}}:complete"): {"attempt": 1, "state": "FAILED", "reason": "r"},
    ("POST", f"{RUNNERS}/{{trial_id}}:release"): {"attempt": 1},
    ("POST", f"{RUNNERS}/{{trial_id}}:correct"): {"state": "INFEASIBLE", "reason": "r"},
}
OWN_NAME_SPACE = {("PUT", "/v1/task_files/{name}")}
"""Here the caller chooses a name among its own."""


def routes(app: FastAPI) -> Iterator[tuple[str, str, Dependant]]:
    for route in iter_route_contexts(app.routes):
        path = getattr(route, "path_format", None) or ""
        for method in sorted(getattr(route, "methods", None) or ()):
            if path.startswith("/v1"):
                yield method, path, route.dependant


def called_by(dependant: Dependant) -> set[object]:
    calls = {dependant.call}
    return calls.union(*(called_by(inner) for inner in dependant.dependencies))


def test_every_route_asks_for_a_scope(service_environment: None) -> None:
    """Exactly one of the two ways to name it."""
    found = list(routes(create_app()))
    assert len(found) >= 14
    for method, path, dependant in found:
        assert len(called_by(dependant) & {permit, permit_admin}) == 1, (method, path)


def test_a_path_that_no_database_can_look_up_is_not_found(client: TestClient) -> None:
    """A NUL in place of any name: 404, and no crash."""
    for method, path, _ in routes(client.app):  # type: ignore[arg-type]
        if "{" in path:
            address = re.sub(r"{\w+}", "%00", path)
            answer = client.request(method, address, json=BODIES.get((method, path)))
            assert answer.status_code == 404, (method, path)


def things_of_the_first_tenant(client: TestClient) -> dict[str, str]:
    """A study with a trial, its artifact, a key and a task file: values for every parameter of a path."""
    study_id = stored_study(trials=2)
    claimed = leases.claim("w")
    assert claimed is not None
    record = ArtifactRecord(name="mine.csv", path="weights", sha256="0" * 64, size_bytes=1)
    metrics = {"score": 0.7, "trainable_parameters": 1000.0}
    report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, artifacts=(record,))
    leases.complete(claimed.trial_id, claimed.attempt, report)
    artifacts = Path(settings().artifacts_url)
    artifacts.mkdir(parents=True, exist_ok=True)
    (artifacts / "weights").write_bytes(b"w")
    assert client.put("/v1/task_files/mine.csv", content=b"text,label\na,b\nc,d\n").status_code == 200
    return {
        "study_id": study_id,
        "trial_id": claimed.trial_id,
        "key_id": client.post("/v1/keys", json={"name": "a key"}).json()["id"],
        "webhook_id": client.post("/v1/webhooks", json={"url": "https://1.1.1.1/"}).json()["id"],
        "name": "mine.csv",
    }


def test_anothers_anything_does_not_exist(client: TestClient) -> None:
    """404 for what a path names, nothing of it in what a list shows; its owner finds all of it."""
    things = things_of_the_first_tenant(client)
    # What deletes comes last, and the deeper path first.
    table = sorted(routes(client.app), key=lambda row: (row[0] == "DELETE", -row[1].count("/"), row[1]))  # type: ignore[arg-type]
    for method, path, _ in table:
        if (method, path) in OWN_NAME_SPACE:
            continue
        address, body = path.format_map(things), BODIES.get((method, path))
        answer = client.request(method, address, json=body, headers=bearer(OTHER_KEY))
        if "{" in path:
            assert answer.status_code == 404, (method, path, answer.text)
            assert method == "HEAD" or answer.json()["type"] == "/problems/not-found"
        else:
            assert answer.status_code in (200, 201), (method, path, answer.text)
            assert not [thing for thing in (*things.values(), "mine.csv") if thing in answer.text], path
    for method, path, _ in table:
        if (method, path) not in OWN_NAME_SPACE:
            answer = client.request(method, path.format_map(things), json=BODIES.get((method, path)))
            assert answer.status_code != 404, (method, path, "the values for its path name nothing")
