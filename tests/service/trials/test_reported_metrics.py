"""A known metric of a custom study need not be reported, and cannot be reported otherwise."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api_schemas.trials import Measurement, TrialReport, TrialState
from service.storage import queries
from service.studies.canonical_trials import canonical_trials
from service.study_worker import advance_study
from service.trials import lifecycle
from tests.conftest import make_study_request
from tests.service.studies.test_imported_trials import imported
from tests.service.trials.test_ask_and_tell import POINT, asked, created, pointers, told
from tests.service.trials.test_lifecycle import create

OBJECTIVES = [
    {"metric": "error", "direction": "minimize"},
    {"metric": "watts", "direction": "minimize", "known": '3 * learningRate + (kernel == "rbf")'},
]
WATTS = 3 * 0.1 + 1
LIMITS = [{"metric": "size", "op": "<=", "bound": 5, "known": "default(degree, 1)"}]


def begun(http: TestClient) -> dict[str, Any]:
    study_id = created(http, objectives=OBJECTIVES, constraints=LIMITS)
    advance_study(study_id)
    return asked(http, study_id)[0]


def test_the_service_fills_in_what_it_knows(http: TestClient) -> None:
    """Of objectives and of limits; the front has it."""
    trial = begun(http)
    done = told(http, trial, "complete", state="SUCCEEDED", metrics={"error": 0.2}).json()
    assert done["metrics"] == {"error": 0.2, "watts": pytest.approx(WATTS), "size": 1.0}
    # The same word again, with the metric or without it.
    for metrics in ({"error": 0.2}, {"error": 0.2, "watts": WATTS + 1e-12}):
        assert told(http, trial, "complete", state="SUCCEEDED", metrics=metrics).status_code == 200
    front = http.get(f"/v1/studies/{trial['study_id']}/pareto_front").json()
    assert [member["metrics"]["watts"] for member in front["points"]] == [pytest.approx(WATTS)]


def test_another_value_is_refused(http: TestClient) -> None:
    """The trial goes on."""
    answer = told(http, begun(http), "complete", state="SUCCEEDED", metrics={"error": 0.2, "watts": 2})
    assert pointers(answer) == ["/metrics/watts"]
    assert answer.json()["errors"][0]["detail"] == "for these parameters it is 1.3"


def test_a_correction_keeps_what_is_known(http: TestClient) -> None:
    """A wrong value of it is refused there, too."""
    trial = begun(http)
    told(http, trial, "complete", state="SUCCEEDED", metrics={"error": 0.2})
    path = f"/v1/studies/{trial['study_id']}/trials/{trial['trial_id']}:correct"
    body = {"reason": "misread", "metrics": {"error": 0.3}}
    assert pointers(http.post(path, json={**body, "metrics": {"error": 0.3, "watts": 9}})) == [
        "/metrics/watts"
    ]
    assert http.post(path, json=body).json()["metrics"]["watts"] == pytest.approx(WATTS)


def test_a_past_result_needs_no_known_metric(http: TestClient) -> None:
    """Nor may it have another."""
    study_id = created(http, objectives=OBJECTIVES, state="PAUSED")
    wrong = imported(http, study_id, {"parameters": POINT, "metrics": {"error": 0.2, "watts": 7}})
    assert pointers(wrong) == ["/observations/0/metrics/watts"]
    assert imported(http, study_id, {"parameters": POINT, "metrics": {"error": 0.2}}).status_code == 200
    (trial,) = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    assert trial["metrics"] == {"error": 0.2, "watts": pytest.approx(WATTS)}


def test_a_past_result_where_the_metric_has_no_value_is_refused(http: TestClient) -> None:
    """An infeasible one is taken: it has no metrics."""
    objectives = [OBJECTIVES[0], {**OBJECTIVES[1], "known": "1 / (learningRate - 0.5)"}]
    study_id = created(http, objectives=objectives, state="PAUSED")
    point = {**POINT, "learningRate": 0.5}
    wrong = imported(http, study_id, {"parameters": point, "metrics": {"error": 0.2, "watts": 7}})
    assert pointers(wrong) == ["/observations/0/metrics/watts"]
    assert imported(http, study_id, {"parameters": point, "infeasible": "it broke"}).status_code == 200


def test_a_clone_computes_its_own_known_metrics(http: TestClient) -> None:
    """Results of the source are taken over with the value of the new expression."""
    trial = begun(http)
    told(http, trial, "complete", state="SUCCEEDED", metrics={"error": 0.2})
    edits = {"objectives": [OBJECTIVES[0], {**OBJECTIVES[1], "known": "7 * learningRate"}]}
    clone = http.post(f"/v1/studies/{trial['study_id']}:clone", json={"edits": edits, "import_trials": True})
    assert clone.status_code == 201, clone.text
    (taken,) = http.get(f"/v1/studies/{clone.json()['id']}/trials").json()["trials"]
    assert taken["metrics"] == {"error": 0.2, "watts": pytest.approx(0.7), "size": 1.0}


def test_the_service_counts_the_network_of_a_trial(session: Session) -> None:
    """A worker counts what it trains; what is left of the backbone follows from the configuration."""
    objectives = [
        {"metric": "score", "direction": "maximize"}, {"metric": "model_parameters", "direction": "minimize"},
    ]  # fmt: skip
    request = make_study_request(search_space={"preset": "depth"}, objectives=objectives)
    study = create(session, request)
    point = {"architecture.keep_layers": 5, "architecture.which": "first"}
    smaller = canonical_trials(study)({**study.starting_points[0], **point})
    trial = lifecycle.add_trial(
        session,
        study,
        parameters=smaller.parameters,
        configuration=smaller.configuration,
        configuration_key=smaller.key,
        generated_by="test",
        proposal_seconds=0.0,
    )
    lifecycle.start_trial(session, study, trial, worker="w", lease_seconds=60)
    measured = Measurement(step=1, metrics={"score": 0.5, "loss": 1.0, "train_loss": 1.0, "share": 0.5})
    lifecycle.record_measurement(session, study, trial, attempt=1, measurement=measured)
    report = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.5})
    lifecycle.finish_trial(session, study, trial, attempt=1, report=report, max_attempts=1)
    assert trial.configuration is not None
    assert trial.configuration["architecture"] == {"keep_layers": 5, "which": "first", "ffn_width": None}
    assert trial.state is TrialState.SUCCEEDED
    assert trial.metrics["model_parameters"] == 11_918_592 + 5 * 1_774_464 + 384 * 2 + 2
    [kept] = queries.measurements_of(session, {trial.id: 1})[trial.id]
    assert kept.metrics["model_parameters"] == trial.metrics["model_parameters"]
