"""Studies over HTTP: what is refused and why, and what a study looks like to a client."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.search_space import PresetName
from api_schemas.studies import StudyCreate
from api_schemas.trials import TrialReport, TrialState
from service.api.routes import studies
from service.storage.database import engine
from service.storage.models import Study
from service.studies.validation import ValidStudy, validate_study
from service.trials import leases
from tests.conftest import study_body
from tests.service.trials.test_leases import stored_study


def pointers(response: Any) -> dict[str, str]:
    return {item["pointer"]: item["detail"] for item in response.json()["errors"]}


PARAMETER = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2}
INTEGER = {"type": "int", "low": 1, "high": 5}


def kept(**architecture: object) -> dict[str, object]:
    base = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}}
    return {"configuration": {**base, "architecture": architecture}}


def configured(peft: dict[str, object], parameter: dict[str, object] = PARAMETER) -> dict[str, object]:
    return {
        "configuration": {
            "backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}, "peft": peft,
        },
        "search_space": {"parameters": [parameter]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        (
            {"objectives": [{"metric": "beauty", "direction": "maximize"}]},
            "/objectives/0/metric", "A trial yields no 'beauty'",
        ),
        (
            {"objectives": [{"metric": "test_score", "direction": "minimize"}]},
            "/objectives/0/metric", "A trial yields no 'test_score'",
        ),
        (
            {
                "search_space": {"preset": "methods"},
                "objectives": [{"metric": "adapter_flops", "direction": "minimize"}],
            },
            "/objectives/0/metric", "for our own modules and fine-tuning only",
        ),
        ({"search_space": {}}, "/search_space", "the search space is empty"),
        ({"search_space": {"parameters": []}}, "/search_space", "the search space is empty"),
        ({"search_space": {"preset": "paperpeft"}}, "/search_space/preset", "Input should be"),
        (
            {"search_space": {"parameters": [{"type": "bool", "name": "peft.active_layers.6"}]}},
            "/search_space/parameters/0", "layers 0 to 5",
        ),
        (
            {"search_space": {"parameters": [{**PARAMETER, "name": "peft.lora.by_layer.6.query"}]}},
            "/search_space/parameters/0", "layers 0 to 5",
        ),
        (
            {"search_space": {"parameters": [PARAMETER, PARAMETER]}},
            "/search_space/parameters/1/name", "repeats the name",
        ),
        (
            {"search_space": {"parameters": [{**PARAMETER, "name": "training.luck"}]}},
            "/search_space/parameters/0", "no such setting",
        ),
        (
            {"search_space": {"parameters": [{**PARAMETER, "name": "backbone"}]}},
            "/search_space/parameters/0", "can be searched",
        ),
        (
            {"search_space": {"parameters": [{**PARAMETER, "high": 5.0}]}},
            "/search_space/parameters/0", "not legal there",
        ),
        (
            {
                "search_space": {
                    "parameters": [
                        {"type": "categorical", "name": "peft.method", "choices": ["lora", "magic"]}
                    ]
                }
            },
            "/search_space/parameters/0", "'magic' is not legal there",
        ),
        (
            {
                "search_space": {
                    "parameters": [
                        {"type": "categorical", "name": "peft.method", "choices": ["lora", "oft"]},
                        {"type": "ordinal", "name": "peft.library.block_size", "choices": [32, 100]},
                    ]
                }
            },
            "/search_space/parameters/1", "a block of 100 does not divide the width 384",
        ),
        ({"budget": {"trials": 0}}, "/budget/trials", "greater than or equal to 1"),
        (
            {"starting_points": [{"peft.lora.rank": 3}]},
            "/starting_points/0/peft.lora.rank", "no such parameter",
        ),
        (
            {"starting_points": [{"peft.prefix_tuning.length": 5}]},
            "/starting_points/0/peft.prefix_tuning.length", "not a value",
        ),
        (
            {"configuration": {"backbone": "gpt-17", "task": {"name": "rotten-tomatoes"}}},
            "/configuration/backbone", "",
        ),
        (
            {"configuration": {"backbone": "all-MiniLM-L6-v2", "task": {"name": "knitting"}}},
            "/configuration/task/name", "",
        ),
        (
            {
                "configuration": {
                    "backbone": "all-MiniLM-L6-v2",
                    "task": {"name": "rotten-tomatoes", "test_rows": 1067},
                }
            },
            "/configuration/task/test_rows", "has 1066 rows",
        ),
        (
            {
                "configuration": {
                    "backbone": "all-MiniLM-L6-v2",
                    "task": {"name": "rotten-tomatoes"},
                    "training": {"max_length": 513},
                }
            },
            "/configuration/training/max_length", "at most 512",
        ),
        ({"surprise": 1}, "/surprise", "There is no 'surprise' here"),
        ({"display_name": "a\0b"}, "/display_name", "must not hold a NUL"),
        (
            {"search_space": {"parameters": [{**INTEGER, "name": "peft.first_active_layer", "high": 6}]}},
            "/search_space/parameters/0", "the backbone has layers 0 to 5",
        ),
        (
            {"search_space": {"parameters": [{**INTEGER, "name": "training.max_length", "high": 513}]}},
            "/search_space/parameters/0", "the backbone reads at most 512",
        ),
        (
            {"search_space": {"parameters": [{**PARAMETER, "name": "peft.lora.rank", "low": 1, "high": 8}]}},
            "/search_space/parameters/0", "Input should be a valid integer",
        ),
        (
            {"search_space": {"parameters": [{**INTEGER, "name": "peft.lora.by_layer.00.query"}]}},
            "/search_space/parameters/0/name", "is not written as it must be",
        ),
        (
            {"search_space": {"parameters": [
                {**INTEGER, "name": "peft.serial_adapter.by_layer.0", "low": -1},
            ]}},
            "/search_space/parameters/0", "the value -1 is not legal there",
        ),
        (
            configured({"serial_adapter": {"by_layer": [10**9] * 6}}),
            "/configuration/peft/serial_adapter/by_layer/0", "less than or equal to 65536",
        ),
        (
            configured({"method": "dora", "lora": {"rank": 4}}),
            "/configuration/peft/lora", "no method of this study reads this section ('dora')",
        ),
        (
            configured({"method": "prompt_tuning"}, {**INTEGER, "name": "peft.first_active_layer"}),
            "/search_space/parameters/0", "has no effect: no method of this study reads it ('prompt_tuning')",
        ),
        (
            configured({"method": "lora"}, {**INTEGER, "name": "peft.serial_adapter.bottleneck_size"}),
            "/search_space/parameters/0", "has no effect",
        ),
        (
            configured({}, {**INTEGER, "name": "peft.compacter.bottleneck_size"}),
            "/configuration/peft/compacter/division", "1 among them",
        ),
        (
            {"configuration": {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"},
                               "training": {"measurements_per_epoch": 101}}},
            "/configuration/training/measurements_per_epoch", "less than or equal to 100",
        ),
        (kept(keep_layers=0), "/configuration/architecture/keep_layers", "no layer would be left"),
        (kept(keep_layers=7), "/configuration/architecture/keep_layers", "the backbone has 6"),
        (kept(keep_layers=3, ffn_width=1000), "/configuration/architecture/ffn_width", "multiple of 32"),
        (kept(keep_layers=3, heads=6), "/configuration/architecture/heads", "no plain configuration"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_work_is_refused_at_the_door(
    client: TestClient, session: Session, changes: dict[str, object], pointer: str, detail: str
) -> None:
    """422 with a JSON pointer to the guilty field, and nothing is stored."""
    response = client.post("/v1/studies", json=study_body(**changes))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in pointers(response)[pointer]
    assert session.scalars(select(Study)).all() == []


def test_checking_a_study_holds_no_database_connection(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set that downloads for minutes must not starve the rest of the service."""
    held: list[int] = []

    def watched(request: StudyCreate, *, tenant_id: str) -> ValidStudy:
        held.append(engine().pool.checkedout())  # type: ignore[attr-defined]
        return validate_study(request, tenant_id=tenant_id)

    monkeypatch.setattr(studies, "validate_study", watched)
    created = client.post("/v1/studies", json=study_body())
    assert (created.status_code, held) == (201, [0])
    assert client.get(f"/v1/studies/{created.json()['id']}").json() == created.json()


@pytest.mark.parametrize("bound", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_bounds_that_are_no_numbers_are_refused(client: TestClient, bound: str) -> None:
    """Python's JSON reader lets NaN through; the schema does not."""
    body = json.dumps(study_body(search_space={"parameters": [{**PARAMETER, "high": 424242}]}))
    response = client.post(
        "/v1/studies", content=body.replace("424242", bound), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    assert "finite" in pointers(response)["/search_space/parameters/0/high"]


@pytest.mark.parametrize("preset", list(PresetName))
def test_every_preset_is_valid(client: TestClient, preset: PresetName) -> None:
    """The base configuration has an entry for every path that a preset reaches into."""
    answer = client.post("/v1/studies", json=study_body(search_space={"preset": preset}))
    assert answer.status_code == 201, answer.json()


def test_a_preset_is_shown_expanded(client: TestClient) -> None:
    """The answer holds plain parameters, the resolved layers and the natural reference point."""
    study = client.post("/v1/studies", json=study_body()).json()
    names = [parameter["name"] for parameter in study["search_space"]["parameters"]]
    assert names[3:] == [f"peft.active_layers.{layer}" for layer in range(6)]
    assert study["configuration"]["peft"]["active_layers"] == [True] * 6
    assert study["state"] == "ACTIVE"
    assert client.get(f"/v1/studies/{study['id']}").json() == study


def test_a_study_that_names_no_space_has_that_of_every_method(client: TestClient) -> None:
    """It is shown expanded; a clone, which names its parameters, has the same. Custom ones need a space."""
    body = study_body()
    del body["search_space"]
    study = client.post("/v1/studies", json=body).json()
    [method] = [item for item in study["search_space"]["parameters"] if item["name"] == "peft.method"]
    assert "full" in method["choices"]
    assert study["backbone_shape"]["weights"]["each_layer"] == 1_774_464
    clone = client.post(f"/v1/studies/{study['id']}:clone", json={"edits": {}}).json()
    assert clone["search_space"] == study["search_space"]
    assert clone["starting_points"] == study["starting_points"]
    custom = {name: body[name] for name in ("display_name", "objectives", "budget")} | {"kind": "custom"}
    refused = client.post("/v1/studies", json=custom)
    assert refused.status_code == 422
    assert "needs a search space" in pointers(refused)["/search_space"]


def test_a_search_over_methods_is_valid(client: TestClient) -> None:
    """The preset is expanded with its conditions, and the natural reference covers its largest method."""
    body = study_body(search_space={"preset": "methods"})
    study = client.post("/v1/studies", json=body).json()
    rank = next(p for p in study["search_space"]["parameters"] if p["name"] == "peft.library.rank")
    assert "lora" in rank["when"]["in"]
    assert "oft" not in rank["when"]["in"]
    # LoHa of rank 64 everywhere trains most: 2 x 64 x (inputs + outputs) of six projections, six layers.
    widths = 4 * (384 + 384) + 2 * (384 + 1536)
    reference = validate_study(StudyCreate.model_validate(body), tenant_id="tnt_1").reference_defaults[1]
    assert reference == pytest.approx(1.1 * (6 * 2 * 64 * widths + 2 * 385))


def test_a_study_of_no_seeds_is_refused(client: TestClient) -> None:
    """The pointer names the field; one seed and no final ones are the default."""
    response = client.post("/v1/studies", json=study_body(replicates=0, final_replicates=-1))
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/replicates", "/final_replicates"]
    study = client.post("/v1/studies", json=study_body(final_replicates=2)).json()
    assert (study["replicates"], study["final_replicates"]) == (1, 2)
    assert study["replicate_counts"] == {"queued": 0, "running": 0, "done": 0}


def test_studies_come_in_pages_newest_first(client: TestClient) -> None:
    """The token asks for the rest; the last page has none."""
    made = [client.post("/v1/studies", json=study_body(display_name=str(n))).json()["id"] for n in range(3)]
    first = client.get("/v1/studies?page_size=2").json()
    rest = client.get(f"/v1/studies?page_size=2&page_token={first['next_page_token']}").json()
    assert [study["id"] for page in (first, rest) for study in page["studies"]] == made[::-1]
    assert rest["next_page_token"] is None


FOUND_BY: tuple[tuple[dict[str, str], list[str]], ...] = (
    ({"state": "PAUSED"}, ["second"]),
    ({"tag": "paper"}, ["second", "first 50%"]),
    ({"tag": "paper", "state": "ACTIVE"}, ["first 50%"]),
    ({"backbone": "all-MiniLM-L6-v2", "text": "SECOND"}, ["second"]),
    ({"backbone": "another"}, []),
    ({"text": "phone"}, ["second"]),
    ({"text": "50%"}, ["first 50%"]),
    ({"text": "0%f"}, []),
)


def test_studies_are_found_by_what_is_said_of_them(client: TestClient) -> None:
    """All that is asked for must fit; a text is looked for as it stands, in any case."""
    stored_study(trials=1, display_name="first 50%", tags=["paper"])
    paused = stored_study(trials=1, display_name="second", tags=["paper", "b"], notes="for the phone")
    client.post(f"/v1/studies/{paused}:pause")
    for wanted, found in FOUND_BY:
        answer = client.get("/v1/studies", params=wanted).json()
        assert [study["display_name"] for study in answer["studies"]] == found, wanted


def test_a_result_shows_on_the_front_and_in_the_history(client: TestClient) -> None:
    """Trial, front, hypervolume and counts tell the same story."""
    study_id = stored_study(trials=2, parallelism=2)
    for score in (0.7, 0.8):
        claimed = leases.claim("w")
        assert claimed is not None
        metrics = {"score": score, "trainable_parameters": 1000.0}
        leases.complete(
            claimed.trial_id, claimed.attempt, TrialReport(state=TrialState.SUCCEEDED, metrics=metrics)
        )
    front = client.get(f"/v1/studies/{study_id}/pareto_front").json()
    history = client.get(f"/v1/studies/{study_id}/hypervolume_history").json()["records"]
    trials = client.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    study = client.get(f"/v1/studies/{study_id}").json()
    assert [point["number"] for point in front["points"]] == [1]
    assert [trial["on_front"] for trial in trials] == [False, True]
    assert front["hypervolume"] == history[-1]["hypervolume"] == study["hypervolume"] > 0
    assert [record["sequence"] for record in history] == [1, 2]
    assert study["trials"]["succeeded"] == 2
    assert study["state"] == "SUCCEEDED"


def test_verbs_that_the_state_forbids_are_conflicts(client: TestClient) -> None:
    """409 that names the state."""
    study_id = client.post("/v1/studies", json=study_body()).json()["id"]
    assert client.post(f"/v1/studies/{study_id}:pause").json()["state"] == "PAUSED"
    assert client.post(f"/v1/studies/{study_id}:cancel").json()["state"] == "CANCELLED"
    response = client.post(f"/v1/studies/{study_id}:resume")
    assert response.status_code == 409
    assert "CANCELLED" in response.json()["detail"]
