"""Every feature of a study with every kind, and every pair of kinds: it ends, and no turn of it fails."""

import itertools
import random
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.storage.database import transaction
from service.storage.models import Study
from service.study_worker import advance_study
from tests.conftest import sampled, study_body
from tests.service.trials.test_ask_and_tell import SPACE

pytestmark = pytest.mark.slow

KINDS = ("peft", "custom")
LEARNING_RATE = {"type": "float", "name": "training.learning_rate", "low": 1e-5, "high": 1e-2, "log": True}
RANKS = {"type": "ordinal", "name": "peft.lora.rank", "choices": [1, 2, 4, 8, 16]}

RANDOM = {"proposer": "random"}

FEATURES: dict[str, dict[str, Any]] = {
    "replicates": {"replicates": 2},
    "final replicates": {"final_replicates": 2},
    "race": {"final_replicates": 1, "race": {"share": 0.5}},
    "duplicates repeated": {"proposals": {"duplicates": "replicate"}},
    "duplicates reused": {"proposals": {"duplicates": "reuse"}},
    "early stopping": {"early_stopping": "hypervolume"},
    "many ahead": {"proposals": {"ahead": 7}},
    "parallel": {"parallelism": 5},
    "constraint": {"constraints": [{"metric": "latency_ms", "op": "<=", "bound": 0.9}]},
    "spread proposer": {"proposals": {"proposer": "sobol"}},
    "nothing": {},
}


def body(kind: str, **changes: Any) -> dict[str, Any]:
    """A study of four trials in which both kinds search the same two parameters."""
    common = {
        "budget": {"trials": 4},
        "search_space": {"parameters": [LEARNING_RATE, RANKS]},
        "objectives": [
            {"metric": "score", "direction": "maximize"},
            {"metric": "latency_ms", "direction": "minimize"},
        ],
    }
    if kind == "custom":
        return {"kind": "custom", "display_name": "c", **common, **changes}
    configuration = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}}
    return study_body(configuration=configuration, **{**common, **changes})


def post(http: TestClient, path: str, content: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(path, json=content)
    assert answer.status_code in (200, 201), answer.json().get("errors")
    return dict(answer.json())


def run(http: TestClient, study_id: str, *, names: tuple[str, ...] = ("score", "latency_ms")) -> Study:
    """Run what a study proposes until it has ended; no turn may fail."""
    chance = random.Random(study_id)
    path = f"/v1/studies/{study_id}/trials"
    for _ in range(60):
        advance_study(study_id)
        with transaction() as session:
            study = session.get_one(Study, study_id)
            assert (study.turn_error, study.turn_attempts, study.weighing_attempts) == (None, 0, 0)
        found = post(http, f"{path}:suggest", {"worker_id": "w"})
        if found["study_state"] not in ("ACTIVE", "PAUSED"):
            return study
        for trial in found["trials"]:
            metrics = {name: chance.random() for name in names}
            told = {"attempt": trial["attempt"], "state": "SUCCEEDED", "metrics": metrics}
            if chance.random() < 0.2:
                told = {"attempt": trial["attempt"], "state": "INFEASIBLE", "reason": "too large"}
            post(http, f"{path}/{trial['trial_id']}:complete", told)
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    ("feature", "kind"),
    sampled(
        itertools.product(FEATURES, KINDS), keep=list(zip(FEATURES, itertools.cycle(KINDS), strict=False))
    ),
)
def test_a_study_with_the_feature_runs_to_its_end(http: TestClient, feature: str, kind: str) -> None:
    """And knows what matters in it."""
    study_id = post(http, "/v1/studies", body(kind, **FEATURES[feature]))["id"]
    ended = run(http, study_id)
    assert ended.state == "SUCCEEDED", ended.state_reason
    advance_study(study_id)
    weighed = http.get(f"/v1/studies/{study_id}/importance").json()
    assert weighed["observations"] > 0


@pytest.mark.parametrize(
    ("source", "target", "mode"),
    sampled(
        itertools.product(KINDS, KINDS, ["model", "pareto"]),
        keep=[
            ("peft", "peft", "model"), ("peft", "custom", "pareto"),
            ("custom", "peft", "pareto"), ("custom", "custom", "model"),
        ],
    ),
)  # fmt: skip
def test_a_study_learns_from_one_of_any_kind(http: TestClient, source: str, target: str, mode: str) -> None:
    """Parameters of the same name are the same; what the other lacks takes a value of its own."""
    former = post(http, "/v1/studies", body(source, proposals=RANDOM))["id"]
    run(http, former)
    own = [LEARNING_RATE, RANKS, {"type": "int", "name": "training.epochs", "low": 1, "high": 5}]
    warm = {"studies": "auto", "mode": mode}
    later = body(target, search_space={"parameters": own}, proposals={"warm_start": warm})
    study = post(http, "/v1/studies", later)
    assert study["proposals"]["warm_start"]["studies"] == [former]
    assert run(http, study["id"]).state == "SUCCEEDED"


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_a_study_is_cloned_into_one_of_any_kind(http: TestClient, source: str, target: str) -> None:
    """Results of the same kind come along, others are no results of the new one."""
    former = post(http, "/v1/studies", body(source, proposals=RANDOM))["id"]
    run(http, former)
    edits: dict[str, Any] = {}
    if source != target:
        wanted = body(target)
        edits = {
            "kind": wanted.get("kind", "peft"),
            "configuration": wanted.get("configuration"),
        }
    clone = post(http, f"/v1/studies/{former}:clone", {"edits": edits, "import_trials": True})
    assert bool(clone["trials"]["imported"]) is (source == target)
    assert run(http, clone["id"]).state == "SUCCEEDED"


@pytest.mark.parametrize("kind", KINDS)
def test_past_results_teach_a_study_of_any_kind(http: TestClient, kind: str) -> None:
    """Before anything was proposed."""
    study_id = post(http, "/v1/studies", body(kind))["id"]
    observations = [
        {
            "parameters": {"training.learning_rate": 10.0**-power, "peft.lora.rank": 4},
            "metrics": {"score": power / 10, "latency_ms": 1.0},
        }
        for power in (3, 4)
    ]
    imported = post(http, f"/v1/studies/{study_id}/trials:import", {"observations": observations})
    assert imported["imported"] == 2
    assert run(http, study_id).state == "SUCCEEDED"


def test_spaces_of_other_names_teach_nothing_and_break_nothing(http: TestClient) -> None:
    """Conditions, log scales and choices of a stranger's own study."""
    former = post(
        http,
        "/v1/studies",
        body("custom", search_space=SPACE, objectives=[{"metric": "score", "direction": "maximize"}]),
    )["id"]
    run(http, former, names=("score",))
    for kind in KINDS:
        study = post(http, "/v1/studies", body(kind, proposals={"warm_start": {"studies": "auto"}}))
        assert former not in study["proposals"]["warm_start"]["studies"]
        assert run(http, study["id"]).state == "SUCCEEDED"
