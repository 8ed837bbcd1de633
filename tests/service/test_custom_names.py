"""In a custom study the names of metrics mean nothing: renamed, everything stays as it was."""

import json
from typing import Any

from fastapi.testclient import TestClient

from service.study_worker import advance_study
from tests.service.trials.test_ask_and_tell import created

SPACE = {"parameters": [{"type": "float", "name": "x", "low": 0, "high": 1}]}
NEUTRAL = ("first", "second", "third")
KNOWN = [
    ("trainable_parameters", "adapter_bytes", "adapter_flops"),
    ("score", "trainable_parameters", "peak_memory_bytes"),
    ("latency_ms", "training_seconds", "adapter_bytes"),
    ("adapter_flops", "score", "score_of_mine"),
    ("Score", "F1", "trainableParameters"),
]
RESULTS = [
    (0.1, 0.9, 0.05),
    (0.2, 0.5, 0.08),
    (0.4, 0.2, 0.02),
    (0.7, 0.1, 0.06),
    (0.3, 0.6, 0.2),
    (0.5, 0.5, 0.01),
]
QUERIES = [
    "",
    "at_most={second}:0.15",
    "at_most={second}:0.01",
    "weights={first}:1&weights={second}:1",
]


def all_about(http: TestClient, names: tuple[str, str, str]) -> dict[str, Any]:
    """What a study says about results between 0 and 1, with the names of its metrics put back."""
    first, second, third = names
    study_id = created(
        http,
        search_space=SPACE,
        objectives=[
            {"metric": first, "direction": "minimize"},
            {"metric": second, "direction": "minimize"},
        ],
        constraints=[{"metric": third, "op": "<=", "bound": 0.1}],
        starting_points=[],
        budget={"trials": 8},
    )
    observations = [
        {"parameters": {"x": place / 8}, "metrics": dict(zip(names, values, strict=True))}
        for place, values in enumerate(RESULTS)
    ]
    told = http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": observations})
    assert told.status_code == 200, told.text
    advance_study(study_id)
    study = http.get(f"/v1/studies/{study_id}").json()
    trials = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    front = http.get(f"/v1/studies/{study_id}/pareto_front").json()
    texts = [
        http.get(f"/v1/studies/{study_id}/recommendation?{query.format(first=first, second=second)}").json()
        for query in QUERIES
    ]
    assert ["reason" in text for text in texts] == [True, True, False, True], texts
    found = {
        "hypervolume": study["hypervolume"],
        "reference_point": study["reference_point"],
        "front": [point["number"] for point in front["points"]],
        "proposed": [(trial["parameters"], trial["explanation"]) for trial in trials],
        "recommended": [text.get("reason", text.get("detail")) for text in texts],
        "lost": [[lost["reason"] for lost in text.get("lost", ())] for text in texts],
        "chance": [(text.get("front_probability"), text.get("front_probability_reason")) for text in texts],
    }
    shown = json.dumps(found, sort_keys=True)
    for name, neutral in sorted(zip(names, NEUTRAL, strict=True), key=lambda pair: -len(pair[0])):
        shown = shown.replace(name, neutral).replace(name.replace("_", " "), neutral)
    return dict(json.loads(shown))


def test_renamed_metrics_change_nothing(http: TestClient) -> None:
    """Front, hypervolume, reference, proposals, recommendations, and how numbers are written."""
    expected = all_about(http, NEUTRAL)
    for names in KNOWN:
        assert all_about(http, names) == expected, names
