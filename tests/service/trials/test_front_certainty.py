"""The chance of truly standing on the front, against closed forms."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from api_schemas.objectives import Objective
from service.trials import front_certainty
from service.trials.front_certainty import binomial_errors, cost_errors
from tests.conftest import make_study_request

OBJECTIVES = make_study_request().objectives
MEMORY = Objective.model_validate({"metric": "peak_memory_bytes", "direction": "minimize"})


def scored(score: float, parameters: float = 1000.0) -> dict[str, float]:
    return {"score": score, "trainable_parameters": parameters}


def off_by(error: float) -> dict[str, float]:
    return {"score": error, "trainable_parameters": 0.0}


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def front_probability(
    objectives: Sequence[Objective],
    metrics: Sequence[Mapping[str, float]],
    errors: Sequence[Mapping[str, float]],
    *,
    position: int,
) -> float:
    return front_certainty.front_probability(objectives, columns(metrics), columns(errors), position=position)


def test_without_noise_the_front_is_certain() -> None:
    """Also beside an equal trial, which does not dominate."""
    metrics = [scored(0.8), scored(0.8), scored(0.7, 100)]
    assert front_probability(OBJECTIVES, metrics, [off_by(0.0)] * 3, position=0) == 1.0


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.03])
def test_two_points_of_equal_cost_and_noise(gap: float) -> None:
    """Phi(d / (sqrt(2) s))."""
    found = front_probability(OBJECTIVES, [scored(0.8 + gap), scored(0.8)], [off_by(0.02)] * 2, position=0)
    assert found == pytest.approx(float(ndtr(gap / (math.sqrt(2) * 0.02))), abs=1e-3)


def test_a_dearer_rival_is_no_danger() -> None:
    """The known cost is exact, so whatever its true score is, it does not dominate."""
    metrics = [scored(0.8, 1000), scored(0.85, 1001)]
    assert front_probability(OBJECTIVES, metrics, [off_by(0.05)] * 2, position=0) == 1.0


def test_against_many_rivals_the_largest_of_normal_draws() -> None:
    """A point and k equal ones: each is the best with chance 1 / (k + 1)."""
    for rivals in (1, 3, 9):
        found = front_probability(
            OBJECTIVES, [scored(0.8)] * (rivals + 1), [off_by(0.02)] * (rivals + 1), position=0
        )
        assert found == pytest.approx(1 / (rivals + 1), abs=3e-3)


def test_of_two_noisy_objectives_both_must_be_worse() -> None:
    """A rival that is level in both dominates with a chance of a quarter."""
    objectives = (OBJECTIVES[0], MEMORY)
    metrics = [{"score": 0.8, "peak_memory_bytes": 1e9}] * 2
    errors = [{"score": 0.01, "peak_memory_bytes": 1e7}] * 2
    assert front_probability(objectives, metrics, errors, position=0) == pytest.approx(0.75, abs=0.02)


def test_errors_follow_metrics_to_the_logarithm() -> None:
    """One per cent of a size is 0.01 / ln 10 of a decade."""
    errors = cost_errors(
        (MEMORY,), columns([{"peak_memory_bytes": 5e8}]), columns([{"peak_memory_bytes": 5e6}])
    )
    assert errors == pytest.approx(np.array([[0.01 / math.log(10)]]))


def test_an_accuracy_is_off_as_a_coin_is() -> None:
    """sqrt(p (1 - p) / n) with one right and one wrong text more, so that the ends are off, too."""
    errors = binomial_errors(np.array([0.8, 1.0]), 1000)
    shares = (801 / 1002, 1001 / 1002)
    assert errors == pytest.approx([math.sqrt(share * (1 - share) / 1000) for share in shares])
