"""A clone asks for what its source asked for, and knows what it could have found itself."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.one_shot import OneShotState
from api_schemas.studies import StudyCreate, StudyRead
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import TrialReport, TrialState
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Study, Tenant
from service.studies.canonical_trials import configuration_key
from service.studies.cloning import merge_patch
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.suggestions import study_suggestions
from service.trials import leases, lifecycle
from tests.conftest import OTHER_KEY, make_study_request, study_body
from tests.service.studies.invariants import check_study
from tests.service.studies.test_imported_trials import imported
from tests.service.trials import test_super_networks as super_networks
from tests.service.trials.test_ask_and_tell import METRICS, POINT, SPACE, created

RATE = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2}
REPORTS = (
    TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0}),
    TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.8, "trainable_parameters": 2000.0}),
    TrialReport(state=TrialState.INFEASIBLE, reason="out of memory"),
    TrialReport(state=TrialState.FAILED, reason="ours"),
)
RATES = (2e-4, 2e-3, 3e-3, 4e-3)


@pytest.fixture
def source(client: TestClient) -> str:
    """A study of four learning rates: two scored, one infeasible, one failed."""
    request = make_study_request(search_space={"parameters": [RATE]}, parallelism=4)
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        study = create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)
        base = TrialConfiguration.model_validate(study.configuration)
        for rate in RATES:
            parameters = {"training.learning_rate": rate}
            configuration = patch(base, parameters)
            lifecycle.add_trial(
                session,
                study,
                parameters=parameters,
                configuration=configuration.model_dump(mode="json"),
                configuration_key=configuration_key(configuration, shape=None),
                generated_by="test",
                proposal_seconds=0.1,
            )
    for report in REPORTS:
        while (claimed := leases.claim("w")) is not None:
            leases.complete(claimed.trial_id, claimed.attempt, report)
            if report.state is not TrialState.FAILED:
                break
    return study.id


def cloned(client: TestClient, source: str, **body: object) -> Any:
    return client.post(f"/v1/studies/{source}:clone", json=body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_a_merge_patch_applied_twice_is_applied_once(target: object, changes: object) -> None:
    """And what it removes is gone."""
    merged = merge_patch(target, changes)
    assert merge_patch(merged, changes) == merged
    if isinstance(changes, dict):
        assert not {name for name, value in changes.items() if value is None} & merged.keys()


def test_a_merge_patch_does_what_the_standard_shows() -> None:
    """The first rows of appendix A of RFC 7396, and a nested one."""
    assert merge_patch({"a": "b"}, {"a": "c"}) == {"a": "c"}
    assert merge_patch({"a": "b"}, {"b": "c"}) == {"a": "b", "b": "c"}
    assert merge_patch({"a": "b"}, {"a": None}) == {}
    assert merge_patch({"a": ["b"]}, {"a": "c"}) == {"a": "c"}
    assert merge_patch({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}) == {"a": {"b": "d"}}
    assert merge_patch([1, 2], {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}


def test_a_clone_can_ask_for_all_that_its_source_asked_for() -> None:
    """Whatever can be posted is shown, so that nothing falls back to its default unseen."""
    assert StudyCreate.model_fields.keys() <= StudyRead.model_fields.keys()


@pytest.mark.parametrize(
    ("edits", "pointer"),
    [
        ({"parallelism": 0}, "/edits/parallelism"),
        ({"colour": 1}, "/edits/colour"),
        ({"configuration": {"backbone": "gpt-17"}}, "/edits/configuration/backbone"),
        ({"objectives": None}, "/edits/objectives"),
        (
            {"search_space": {"parameters": [{**RATE, "name": "training.seed"}]}},
            "/edits/search_space/parameters/0",
        ),
        ({"starting_points": [{"x": 1}]}, "/edits/starting_points/0/x"),
        ({"configuration": {"task": {"train_rows": 10**6}}}, "/edits/configuration/task/train_rows"),
    ],
)
def test_edits_that_make_no_study_are_refused(
    client: TestClient, session: Session, source: str, edits: dict[str, object], pointer: str
) -> None:
    """422 with a pointer into what the edits make, and nothing is stored."""
    refused = cloned(client, source, edits=edits)
    assert refused.status_code == 422
    assert pointer in {item["pointer"] for item in refused.json()["errors"]}
    assert len(session.scalars(select(Study.id)).all()) == 1


def test_anothers_study_cannot_be_cloned(client: TestClient, source: str) -> None:
    """404: nobody learns whether it exists."""
    other = {"Authorization": f"Bearer {OTHER_KEY}"}
    assert client.post(f"/v1/studies/{source}:clone", json={}, headers=other).status_code == 404


def test_a_clone_is_its_source_with_edits(client: TestClient, source: str) -> None:
    """Nested fields merge; results stay where they are."""
    was = client.get(f"/v1/studies/{source}").json()
    edits = {"display_name": "again", "configuration": {"training": {"epochs": 1}}}
    answer = cloned(client, source, edits=edits)
    now = answer.json()
    assert answer.headers["location"] == f"/v1/studies/{now['id']}"
    assert now["display_name"] == "again"
    assert now["configuration"] == merge_patch(was["configuration"], edits["configuration"])
    for field in StudyCreate.model_fields.keys() - edits.keys() - {"state"}:
        assert now[field] == was[field], field
    assert (now["state"], now["trials"]["imported"]) == ("ACTIVE", 0)


def test_a_clone_knows_what_it_could_have_found(client: TestClient, source: str) -> None:
    """Scored and infeasible trials inside the new bounds, with their front; the whole budget is left."""
    edits = {"search_space": {"parameters": [{**RATE, "low": 1e-3}]}}
    study = cloned(client, source, edits=edits, import_trials=True).json()
    url = f"/v1/studies/{study['id']}"
    trials = client.get(f"{url}/trials").json()["trials"]
    assert [(trial["state"], trial["parameters"], trial["generated_by"]) for trial in trials] == [
        ("SUCCEEDED", {"training.learning_rate": 2e-3}, "imported"),
        ("INFEASIBLE", {"training.learning_rate": 3e-3}, "imported"),
    ]
    assert [trial["number"] for trial in trials] == [0, 1]
    assert trials[0]["metrics"]["score"] == trials[0]["replicates"][0]["metrics"]["score"] == 0.8
    front = client.get(f"{url}/pareto_front").json()
    assert [point["trial_id"] for point in front["points"]] == [trials[0]["id"]]
    assert study["trials"]["imported"] == 2
    with transaction() as session:
        request = study_suggestions.read_request(session, study["id"])
    assert request is not None
    assert (len(request.observations), request.count) == (2, study["budget"]["trials"])


@pytest.mark.parametrize("resampling", ["hold_out", {"folds": 3}])
def test_a_clone_has_the_rows_of_its_source(client: TestClient, tmp_path: Path, resampling: object) -> None:
    """Where folds are the default, hold-out stays what it is; an edit changes it."""
    (tmp_path / "data").mkdir()
    rows = [f"text {n},{n % 2}" for n in range(80)]
    (tmp_path / "data" / "a.csv").write_text("\n".join(["text,label", *rows]))
    task = {"name": "file:a.csv", "resampling": resampling}
    body = study_body(configuration={"backbone": "all-MiniLM-L6-v2", "task": task})
    first = client.post("/v1/studies", json=body).json()
    with transaction() as session:
        # As one is stored that was posted before there were folds.
        study = session.get_one(Study, first["id"])
        assert study.configuration is not None
        kept = {name: value for name, value in study.configuration["task"].items() if value != "hold_out"}
        study.configuration = {**study.configuration, "task": kept}
    again = cloned(client, first["id"]).json()
    assert again["configuration"] == first["configuration"]
    edits = {"configuration": {"task": {"resampling": {"folds": 4}}}}
    edited = cloned(client, first["id"], edits=edits).json()
    assert edited["configuration"]["task"]["resampling"] == {"folds": 4}


@pytest.mark.parametrize(
    "edits",
    [
        {"configuration": {"training": {"epochs": 1}}},
        {"configuration": {"task": {"train_rows": 100}}},
        {
            "search_space": {
                "parameters": [{**RATE, "name": "training.weight_decay", "low": 0.5, "high": 0.9}]
            }
        },
    ],
)
def test_results_of_other_configurations_are_left_behind(
    client: TestClient, source: str, edits: dict[str, object]
) -> None:
    """Another recipe, other rows or a parameter that was not searched: no trial is comparable."""
    assert cloned(client, source, edits=edits, import_trials=True).json()["trials"]["imported"] == 0


def test_results_without_a_metric_that_is_weighed_are_left_behind(client: TestClient, source: str) -> None:
    """What is infeasible is so for any objective."""
    edits = {"objectives": [{"metric": "latency_ms", "direction": "minimize"}]}
    study = cloned(client, source, edits=edits, import_trials=True).json()
    trials = client.get(f"/v1/studies/{study['id']}/trials").json()["trials"]
    assert [trial["state"] for trial in trials] == ["INFEASIBLE"]


def test_a_study_of_the_callers_own_is_cloned_with_its_results(client: TestClient) -> None:
    """Those within the new space, whatever their parameters mean; they cost no budget."""
    source = created(client)
    inside, outside = {**POINT, "learningRate": 0.01}, {**POINT, "learningRate": 0.9}
    observations = [{"parameters": point, "metrics": METRICS} for point in (inside, outside)]
    assert imported(client, source, *observations).json()["imported"] == 2
    rate, *others = SPACE["parameters"]
    edits = {"search_space": {"parameters": [{**rate, "high": 0.5}, *others]}}
    study = cloned(client, source, edits=edits, import_trials=True).json()
    assert (study["kind"], study["trials"]["imported"]) == ("custom", 1)
    (trial,) = client.get(f"/v1/studies/{study['id']}/trials").json()["trials"]
    assert (trial["parameters"], trial["metrics"], trial["number"]) == (inside, METRICS, 0)


def test_a_clone_waits_for_nobody_and_holds_up_nobody(
    client: TestClient, session: Session, source: str
) -> None:
    """While a result of the source is being stored, the clone has what was there before it, all of it."""
    queries.lock_study(session, source)
    trial = queries.trials_in(session, source, [TrialState.SUCCEEDED])[0]
    trial.metrics = {**trial.metrics, "score": 0.75}
    session.flush()
    made = cloned(client, source, import_trials=True).json()
    session.commit()
    trials = client.get(f"/v1/studies/{made['id']}/trials").json()["trials"]
    assert {item["metrics"].get("score") for item in trials} == {0.7, 0.8, None}
    with transaction() as own:
        check_study(own, made["id"])


def test_a_clone_of_a_clone_has_the_same_trials(client: TestClient, source: str) -> None:
    """Seeds, provenance, times and attempts are those of the first, however often they are copied."""
    first = cloned(client, source, import_trials=True).json()["id"]
    second = cloned(client, first, edits={"display_name": "again"}, import_trials=True).json()["id"]
    of_first, of_second = (
        client.get(f"/v1/studies/{study}/trials").json()["trials"] for study in (first, second)
    )
    own = {"id", "study_id", "created_at"}
    assert len(of_first) == 3
    for one, other in zip(of_first, of_second, strict=True):
        assert {key: one[key] for key in one.keys() - own} == {key: other[key] for key in other.keys() - own}


def test_a_clone_trains_a_super_network_of_its_own(client: TestClient) -> None:
    """What the source's had chosen is no starting point of the clone before its own has scored."""
    source = super_networks.a_study(trials=1)
    claimed, order = super_networks.claim()
    assert order is not None
    leases.record_one_shot(claimed.trial_id, claimed.attempt, super_networks.by_depth(order), seconds=1.0)
    clone = StudyRead.model_validate(cloned(client, source).json())
    assert clone.one_shot is not None
    assert clone.one_shot.state is OneShotState.PENDING
    shown = client.get(f"/v1/studies/{source}").json()
    chosen = shown["one_shot"]["starting_points"]
    assert [*map(dict, clone.starting_points), *chosen] == shown["starting_points"]


def test_a_clone_races_if_its_own_budget_is_worth_it(client: TestClient) -> None:
    """A default race is decided anew; one that was asked for, or refused, is kept."""
    for posted, edits, share in (
        ({}, {"budget": {"trials": 4}}, 0.0),
        ({}, {"budget": {"trials": 40}}, 0.25),
        ({"race": {"share": 0.5}}, {"budget": {"trials": 4}}, 0.5),
        ({"race": {"share": 0}}, {}, 0.0),
    ):
        body = study_body(budget={"trials": 20}, **posted)
        source = client.post("/v1/studies", json=body).json()
        clone = client.post(f"/v1/studies/{source['id']}:clone", json={"edits": edits}).json()
        assert clone["race"] == {"share": share}
