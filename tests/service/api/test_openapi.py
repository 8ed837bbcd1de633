"""The committed OpenAPI document is the application's, and the application keeps to it."""

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.failures import FailureGroup
from sqlalchemy import text

from service.api.openapi import document
from service.storage.database import engine
from tests.conftest import API_KEY, application, study_body

ROOT = Path(__file__).parents[3]
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
STUDY = "/v1/studies/{study_id}"
WHOLE_LIFE = {
    ("POST /v1/studies", 201),
    *((f"{method} {STUDY}", status) for method in ("GET", "PATCH") for status in (200, 404)),
    (f"DELETE {STUDY}", 204),
    (f"DELETE {STUDY}", 404),
}
NIGHTLY = settings.get_current_profile_name() == "nightly"
FUZZED = settings(
    max_examples=200 if NIGHTLY else 6,
    stateful_step_count=16,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# A study may fit the schema and not its backbone; that is told with a 422, too.
EXCLUDED = [positive_data_acceptance]

app = application()
caller = TestClient(app, headers=HEADERS)
schema = schemathesis.openapi.from_dict(app.openapi())
schema.app = app
# Said here, too: a request without its key that then gets one at the call is not a bad request.
schema.config.update(headers=HEADERS)
# Each border of each schema: 3,200 requests, which take half a minute to make.
schema.config.phases.coverage.enabled = NIGHTLY
living = schemathesis.openapi.from_dict(app.openapi()).include(path_regex="^/v1/(studies|webhooks)")
living.app = app
living.config.generation.update(modes=[GenerationMode.POSITIVE])


class Lives(living.as_state_machine()):  # type: ignore[misc]
    """Chains of requests on studies: made, read, changed, ended, deleted, and asked for again.

    Where the links between operations give no id, one of a study that there was. A change names the version
    that there is, and a study that is deleted has been cancelled before.
    """

    ended: ClassVar[list[set[tuple[str, int]]]] = []
    failures: ClassVar[list[BaseException]] = []

    def setup(self) -> None:
        self.happened: set[tuple[str, int]] = set()
        with engine().begin() as connection:
            # With the keys: a key of a life before would be answered with a study that is gone.
            connection.execute(text("TRUNCATE studies, webhooks, idempotency_keys CASCADE"))
        self.study_ids: list[str] = []
        self.deleted: set[str] = set()

    def before_call(self, case: Case) -> None:
        label = case.operation.label
        if label == "POST /v1/studies":
            case.body = study_body()
        if label.endswith("/trials:suggest") and isinstance(case.body, dict):
            case.body["wait_seconds"] = 0
        if self.study_ids and not str(case.path_parameters.get("study_id", "std_")).startswith("std_"):
            case.path_parameters["study_id"] = self.study_ids[-1]
        study_id = case.path_parameters.get("study_id")
        if label == f"PATCH {STUDY}" and study_id in self.study_ids and study_id not in self.deleted:
            case.headers["If-Match"] = caller.get(f"/v1/studies/{study_id}").headers["etag"]
            # It may only grow, and is drawn without a look at what it was.
            case.body.pop("budget", None)
        if study_id in self.deleted and case.headers:
            # A repeated request would get the answer that it got while there was a study.
            case.headers.pop("Idempotency-Key", None)
        if label == f"DELETE {STUDY}" and study_id in self.study_ids:
            caller.post(f"/v1/studies/{study_id}:cancel")

    def after_call(self, response: Any, case: Case) -> None:
        self.happened.add((case.operation.label, response.status_code))
        study_id = case.path_parameters.get("study_id")
        if response.status_code == 201 and "/studies" in case.operation.path:
            self.study_ids.append(response.json()["id"])
        elif case.operation.path == STUDY and response.status_code == 204:
            self.deleted.add(study_id)

    def teardown(self) -> None:
        super().teardown()
        self.ended.append(self.happened)

    def get_call_kwargs(self, case: Case) -> dict[str, Any]:
        return {"headers": HEADERS}

    def validate_response(self, response: Any, case: Case, additional_checks: Any = None, **_: Any) -> None:
        try:
            case.validate_response(
                response, headers=HEADERS, additional_checks=additional_checks, excluded_checks=EXCLUDED
            )
            if case.path_parameters.get("study_id") in self.deleted and response.status_code != 204:
                # A body that is wrong whatever it is sent to is refused before the study is looked for.
                assert response.status_code in (404, 422), case.as_curl_command()
        except (AssertionError, FailureGroup) as failure:
            self.failures.append(failure)
            raise


def test_the_committed_document_is_current() -> None:
    """`python -m service.api.openapi > openapi.json` writes it."""
    assert (ROOT / "openapi.json").read_text(encoding="utf-8") == document()


@pytest.mark.usefixtures("service_environment")
@schema.parametrize()
@FUZZED
def test_each_operation_keeps_to_the_document(case: Case) -> None:
    """No 5xx, no undocumented answer, and what does not fit the schema is refused."""
    case.call_and_validate(headers=HEADERS, excluded_checks=EXCLUDED)


@pytest.mark.slow
@pytest.mark.hypothesis
@pytest.mark.usefixtures("service_environment")
def test_studies_keep_to_the_document_through_their_lives() -> None:
    """The same of every answer in chains of requests; what is deleted is gone for every route."""
    Lives.ended.clear()
    Lives.failures.clear()
    while len(Lives.ended) < FUZZED.max_examples and not Lives.failures:
        # Ids are new in each life, so Hypothesis may find that a replay goes another way, and gives up.
        with suppress(Flaky):
            Lives.run(settings=settings(FUZZED, phases=[Phase.generate]))
    assert not Lives.failures, Lives.failures[0]
    if NIGHTLY:
        assert set().union(*Lives.ended) >= WHOLE_LIFE
