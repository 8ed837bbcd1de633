"""The service forgets one task, lines are added up, and seeds of the test are no study's."""

import json
from pathlib import Path

from api_schemas.peft.registry import PeftMethod
from benchmarks import json_lines
from benchmarks.live_proof.cases import (
    SEARCHES,
    TEST_SEEDS,
    TRAININGS,
    best_by_hand_elsewhere,
    cases,
    configuration_by_hand,
    default,
)
from benchmarks.live_proof.report import live_report
from benchmarks.live_proof.service_without import ROOT, copy_without


def test_the_copy_knows_nothing_of_the_task(tmp_path: Path) -> None:
    """Neither portfolio nor recorded trials name it; the rest of the service is the same."""
    copy_without("imdb", tree=tmp_path)
    for name in ("portfolio.json", "recorded_trials.json"):
        found = json.loads((tmp_path / "service" / "studies" / name).read_text())
        assert found["provenance"]["tasks"] == ["rotten-tomatoes", "tweets", "20newsgroups"]
    source = tmp_path / "workers" / "fine_tune.py"
    assert source.read_text() == (ROOT / "workers" / "fine_tune.py").read_text()


def test_a_case_has_settings_by_hand_and_a_default() -> None:
    """Tuned elsewhere on validation, tested there with five seeds."""
    for case in cases().values():
        assert default(case).peft.lora.rank == 8
        if not case.is_large:
            _, scores = best_by_hand_elsewhere(case)
            assert len(scores) == 5


def test_no_search_sees_a_seed_of_the_test() -> None:
    """Searches begin at multiples of their budget and count up."""
    assert min(TEST_SEEDS) >= SEARCHES * TRAININGS


def test_differences_are_between_searches(tmp_path: Path) -> None:
    """Three searches at 70, 72 and 74 are two points ahead of 70."""
    results = tmp_path / "lines.jsonl"
    head = {"case": "imdb"}
    json_lines.append(results, head | {"kind": "by hand", "name": "BitFit", "scores": [0.7] * 5})
    for number, score in enumerate((0.70, 0.72, 0.74)):
        line = {"kind": "search", "search": number, "probability_better": 0.95}
        json_lines.append(results, head | line)
        for seed in TEST_SEEDS:
            test = {"kind": "test", "name": f"search {number} best", "seed": seed, "score": score}
            json_lines.append(results, head | test)
    assert "+2.00 ± 1.15" in live_report(results)


def test_what_is_tested_once_more_is_compared_seed_by_seed(tmp_path: Path) -> None:
    """A seed that one side lacks says nothing."""
    results = tmp_path / "lines.jsonl"
    scores = {"by hand": {101: 0.70, 102: 0.72}, "search 0": {101: 0.71, 102: 0.71, 103: 0.9}}
    json_lines.append(results, {"case": "imdb", "kind": "by hand", "name": "BitFit", "scores": [0.7] * 5})
    for name, by_seed in scores.items():
        for seed, score in by_seed.items():
            line = {"case": "imdb", "kind": "again", "name": name, "seed": seed, "score": score}
            json_lines.append(results, line)
    assert live_report(results).splitlines()[-1].endswith("| 2 | 71.0 ± 1.0 | 77.3 ± 6.3 | +0.00 ± 1.00 |")


def test_the_best_by_hand_is_a_configuration_that_can_be_trained_again() -> None:
    """By its name and rate."""
    found = configuration_by_hand(cases()["tweets"])
    assert (found.peft.method, found.training.learning_rate) == (PeftMethod.FULL, 1e-4)
