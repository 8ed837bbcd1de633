"""The committed OpenAPI document is the application's, and the application keeps to it."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance

from service.app import create_app
from service.openapi import document
from tests.conftest import API_KEY, study_body

ROOT = Path(__file__).parents[2]
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
FUZZED = settings(
    max_examples=200 if settings.get_current_profile_name() == "nightly" else 4,
    stateful_step_count=16,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# A study may fit the schema and not its backbone; that is told with a 422, too.
EXCLUDED = [positive_data_acceptance]

application = create_app()
schema = schemathesis.openapi.from_dict(application.openapi())
schema.app = application
living = schemathesis.openapi.from_dict(application.openapi())
living.app = application
living.config.generation.update(modes=[GenerationMode.POSITIVE])


class Lives(living.as_state_machine()):  # type: ignore[misc]
    """Chains of requests; where the links between operations give no id, one of a study that there was."""

    def setup(self) -> None:
        self.study_ids: list[str] = []

    def before_call(self, case: Case) -> None:
        if case.operation.label == "POST /v1/studies":
            case.body = study_body()
        if case.operation.label.endswith("/trials:suggest") and isinstance(case.body, dict):
            case.body["wait_seconds"] = 0
        if self.study_ids and not str(case.path_parameters.get("study_id", "std_")).startswith("std_"):
            case.path_parameters["study_id"] = self.study_ids[-1]

    def after_call(self, response: Any, case: Case) -> None:
        if response.status_code == 201:
            self.study_ids.append(response.json()["id"])

    def get_call_kwargs(self, case: Case) -> dict[str, Any]:
        return {"headers": HEADERS}

    def validate_response(self, response: Any, case: Case, additional_checks: Any = None, **_: Any) -> None:
        case.validate_response(
            response, headers=HEADERS, additional_checks=additional_checks, excluded_checks=EXCLUDED
        )


def test_the_committed_document_is_current() -> None:
    """`python -m service.openapi > openapi.json` writes it."""
    assert (ROOT / "openapi.json").read_text(encoding="utf-8") == document()


@pytest.mark.usefixtures("service_environment")
@schema.parametrize()
@FUZZED
def test_each_operation_keeps_to_the_document(case: Case) -> None:
    """No 5xx, no undocumented answer, and what does not fit the schema is refused."""
    case.call_and_validate(headers=HEADERS, excluded_checks=EXCLUDED)


@pytest.mark.usefixtures("service_environment")
def test_studies_keep_to_the_document_through_their_lives() -> None:
    """The same of every answer in chains of requests on studies that exist."""
    Lives.run(settings=FUZZED)
