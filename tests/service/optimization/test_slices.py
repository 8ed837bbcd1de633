"""Slices of fitted models, against functions that are known."""

import numpy as np
import pytest

from api_schemas.search_space import Parameterization
from api_schemas.slices import Slice
from service.optimization import slices
from service.optimization.importance import weigh_parameters
from service.optimization.problem import Observation
from tests.service.optimization.problems import problem_on

NUMBER = {"type": "float", "name": "x", "low": 1e-4, "high": 1.0, "log": True}
STEPS = {"type": "int", "name": "n", "low": 1, "high": 4}
SWITCH = {"type": "bool", "name": "on"}
CHILD = {"type": "float", "name": "y", "low": 0.0, "high": 1.0, "when": {"parameter": "on", "in": [True]}}


def found(
    parameters: list[dict[str, object]], drawn: list[Parameterization], **changes: object
) -> list[Slice]:
    problem = problem_on(parameters, **changes)

    def score(values: Parameterization) -> float:
        return -((np.log10(float(values["x"])) + 2) ** 2) + 0.1 * float(values.get("n", 0))

    observations = [
        Observation(values, {"score": float(score(values)), "training_seconds": 1.0 + number % 3})
        for number, values in enumerate(drawn)
    ]
    return list(weigh_parameters(problem, observations, earlier=(), seed=0).slices)


def on(metric: str, parameter: str, among: list[Slice], second: str | None = None) -> Slice | None:
    wanted = (metric, parameter, second)
    return next((one for one in among if (one.metric, one.parameter, one.second) == wanted), None)


def test_a_slice_follows_the_function_and_its_band_holds_it() -> None:
    """Along a logarithmic number the peak stands at 0.01; every step of a stepped number is one value."""
    positions = np.linspace(-4, 0, 12)
    drawn: list[Parameterization] = [
        {"x": float(10**place), "n": 1 + number % 4} for number, place in enumerate(positions)
    ]
    among = found([NUMBER, STEPS], drawn)
    along = on("score", "x", among)
    assert along is not None
    assert (len(along.values), along.values[0], along.values[-1]) == (slices.ALONG, 1e-4, 1.0)
    assert float(along.values[int(np.argmax(along.means))]) == pytest.approx(0.01, rel=1.0)
    rows = zip(along.lower, along.means, along.upper, strict=True)
    assert all(low <= mean <= high for low, mean, high in rows)
    steps = on("score", "n", among)
    assert steps is not None
    assert steps.values == (1, 2, 3, 4)
    assert along.through in drawn
    over = on("score", "x", among, "n") or on("score", "n", among, "x")
    assert over is not None
    assert len(over.means) == slices.ACROSS * 4


def test_an_exact_objective_is_computed() -> None:
    """Value for value, without a band."""
    drawn: list[Parameterization] = [
        {"x": 10.0 ** -(number % 5), "n": 1 + number % 4} for number in range(12)
    ]
    exact = {"training_seconds": lambda candidates: 5.0 * candidates.values("n")}
    along = on("training_seconds", "n", found([NUMBER, STEPS], drawn, exact_metrics=exact))
    assert along is not None
    assert (along.exact, along.means, along.lower) == (True, (5, 10, 15, 20), (5, 10, 15, 20))


def test_a_parameter_that_sleeps_in_the_best_is_sliced_through_the_best_that_has_it() -> None:
    """And over it and the switch that wakes it there is nothing to draw."""
    drawn: list[Parameterization] = []
    for number in range(12):
        # The best one, at 0.01, has the switch off.
        child: Parameterization = {"on": True, "y": number / 12} if number % 2 else {"on": False}
        drawn.append({"x": 10.0 ** -(2 + number / 6), **child})
    among = found([NUMBER, SWITCH, CHILD], drawn)
    along = on("score", "y", among)
    assert along is not None
    assert along.through["on"] is True
    assert on("score", "on", among, "y") is None
    assert on("score", "y", among, "on") is None
