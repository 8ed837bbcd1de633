"""The reference of an objective that follows from the study: chance, the largest size, or a bound."""

from dataclasses import replace
from typing import Any

import pytest

from api_schemas.studies import StudyCreate
from api_schemas.tasks import TaskKind
from service.studies.reference_defaults import custom_reference_defaults, reference_defaults
from tests.service.studies.drafts import LEARNING_RATE, make_draft

SCORE = {"metric": "score", "direction": "maximize"}
BOTTLENECK = {"type": "ordinal", "name": "peft.serial_adapter.bottleneck_size", "choices": [0, 4, 8]}


@pytest.mark.parametrize(
    ("kind", "score", "expected"),
    [
        (TaskKind.CLASSIFICATION, None, 1 / 3),
        (TaskKind.CLASSIFICATION, "matthews", 0.0),
        (TaskKind.MULTI_LABEL, None, 0.0),
        (TaskKind.REGRESSION, None, 0.0),
        (TaskKind.REGRESSION, "negative_loss", None),
    ],
)
def test_the_score_of_guessing_is_the_reference(
    kind: TaskKind, score: str | None, expected: float | None
) -> None:
    """By the chosen score; a negative loss has no worst."""
    task = {"name": "file:a.csv", "kind": kind, "score": score}
    draft = make_draft(configuration={"task": task}, objectives=[SCORE])
    draft = replace(draft, task=replace(draft.task, kind=kind, labels=("a", "b", "c")))
    assert reference_defaults(draft) == (None if expected is None else pytest.approx(expected),)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # Three layers of width 16 with a serial adapter of size 8, and the head's 2 x 17.
        ("trainable_parameters", 1.1 * (3 * (2 * 16 * 8 + 8 + 16) + 34)),
        ("adapter_bytes", 1.1 * 4 * (3 * (2 * 16 * 8 + 8 + 16) + 34)),
        ("adapter_flops", 1.1 * 3 * 4 * 16 * 8),
    ],
)
def test_the_largest_configuration_is_the_reference_of_an_exact_metric(metric: str, expected: float) -> None:
    """No trial is needed to know its range; what a step does not reach is not searched."""
    objectives = [SCORE, {"metric": metric, "direction": "minimize"}]
    stepped = {"type": "int", "name": BOTTLENECK["name"], "low": 0, "high": 11, "step": 4}
    for parameter in (BOTTLENECK, stepped):
        draft = make_draft(parameters=[parameter], objectives=objectives)
        assert reference_defaults(draft)[1] == pytest.approx(expected)


def test_a_maximised_size_and_a_measured_cost_have_no_reference() -> None:
    """Only results can tell."""
    objectives = [
        {"metric": "trainable_parameters", "direction": "maximize"},
        {"metric": "latency_ms", "direction": "minimize"},
    ]
    assert reference_defaults(make_draft(objectives=objectives)) == (None, None)


def test_a_bound_on_an_objective_is_its_reference_in_a_custom_study() -> None:
    """The tightest, if it is on the worse side."""
    objectives: list[dict[str, Any]] = [
        {"metric": "error", "direction": "minimize"},
        {"metric": "gain", "direction": "maximize"},
        {"metric": "cost", "direction": "minimize"},
    ]
    constraints = [
        {"metric": "error", "op": "<=", "bound": 0.5},
        {"metric": "error", "op": "<=", "bound": 0.25},
        {"metric": "gain", "op": ">=", "bound": 2.0},
        {"metric": "cost", "op": ">=", "bound": 1.0},
    ]
    study = StudyCreate.model_validate(
        {
            "kind": "custom",
            "display_name": "a study",
            "search_space": {"parameters": [LEARNING_RATE]},
            "objectives": objectives,
            "constraints": constraints,
            "budget": {"trials": 1},
        }
    )
    assert custom_reference_defaults(study) == (0.25, 2.0, None)
