"""The optimiser under limits: on known and on measured metrics."""

import random
from typing import Any

import pytest

from api_schemas.objectives import Metric, OutcomeConstraint
from service.optimization import suggest as suggest_module
from service.optimization.acquisition import PendingPosterior
from service.optimization.problem import ExactMetric, Observation, Problem
from service.optimization.suggest import suggest
from tests.service.optimization.problems import (
    NUMBERS,
    SCORE,
    autopeft_problem,
    candidates,
    observe,
    only,
    problem_on,
    simulated_score,
)


def test_a_hard_limit_on_a_known_metric_is_never_broken() -> None:
    """Starting points, initial design and model alike stay below the bound."""
    limit = OutcomeConstraint.model_validate({"metric": "trainable_parameters", "op": "<=", "bound": 50_000})
    free = autopeft_problem(6)
    problem = Problem(**{**free.__dict__, "constraints": (limit,)})
    observations: list[Observation] = []
    for _ in range(13):
        found = only(suggest(problem, observations, pending=[], count=1, seed=0))
        observations.append(
            observe(problem, found.parameterization, lambda values: simulated_score(values, 6))
        )
    assert found.generated_by == "logehvi"
    ran = candidates(problem, [observation.parameterization for observation in observations])
    counted = problem.exact_metrics[Metric.TRAINABLE_PARAMETERS](ran)
    assert max(counted) <= 50_000


def test_constraints_on_measured_metrics_are_modelled() -> None:
    """Only the half with x below 0.5 is feasible; suggestions go there though the other half scores more."""
    limit = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 5.0})
    problem = problem_on(NUMBERS, objectives=(SCORE,), constraints=(limit,))
    rng = random.Random(2)
    observations = [
        Observation({"x": x, "y": y}, {"score": x + 0.1 * y, "latency_ms": 10 * x})
        for x, y in ((rng.random(), rng.random()) for _ in range(12))
    ]
    found = only(suggest(problem, observations, pending=[], count=1, seed=0))
    assert found.generated_by == "logei"
    assert 0.3 < float(found.parameterization["x"]) < 0.6


def test_rare_results_that_keep_a_limit_are_believed() -> None:
    """Four of 24 keep it, far from the rest: the next proposal is where they are, and expected to keep it."""
    limit = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 10.0})
    problem = problem_on(NUMBERS, objectives=(SCORE,), constraints=(limit,))
    rng = random.Random(0)
    drawn = [(0.2 * rng.random() if row < 4 else rng.uniform(0.2, 1), rng.random()) for row in range(24)]
    observations = [
        Observation({"x": x, "y": y}, {"score": x + y, "latency_ms": 5.0 if x < 0.2 else 100 + x})
        for x, y in drawn
    ]
    found = only(suggest(problem, observations, pending=[], count=1, seed=0))
    assert float(found.parameterization["x"]) < 0.2
    assert found.explanation is not None
    assert found.explanation.predictions["latency_ms"].mean < 10.0


@pytest.mark.parametrize(("op", "bound"), [(">=", 1.0), ("<=", 0.0)])
def test_what_was_observed_to_keep_a_limit_keeps_it(
    monkeypatch: pytest.MonkeyPatch, op: str, bound: float
) -> None:
    """At the edge of what the metric can reach, where half of the posterior means lie beyond it."""
    limit = OutcomeConstraint.model_validate({"metric": "ok", "op": op, "bound": bound})
    problem = problem_on(NUMBERS, constraints=(limit,))
    rng = random.Random(1)
    observations = []
    for _ in range(16):
        x, y = rng.random(), rng.random()
        ok = min(1.0, 1.5 - x) if op == ">=" else max(0.0, x - 0.5)
        observations.append(Observation({"x": x, "y": y}, {"score": x, "training_seconds": 1 + y, "ok": ok}))
    seen: list[PendingPosterior] = []
    plain = suggest_module.acquisition_function

    def noting(posterior: PendingPosterior, *args: Any, **more: Any) -> Any:
        seen.append(posterior)
        return plain(posterior, *args, **more)

    monkeypatch.setattr(suggest_module, "acquisition_function", noting)
    only(suggest(problem, observations, pending=[{"x": 0.99, "y": 0.5}], count=1, seed=0))
    (posterior,) = seen
    kept = [limit.holds(item.metrics["ok"]) for item in observations if item.metrics]
    assert 4 < sum(kept) < 12
    assert posterior.feasible.tolist() == [*kept, False]


def test_where_every_result_breaks_a_known_limit_the_search_goes_on_within_it() -> None:
    """Not only is there an answer: it is near the best that was seen beyond the limit."""
    limit = OutcomeConstraint.model_validate({"metric": "cost", "op": "<=", "bound": 0.3})
    cost: ExactMetric = lambda found: found.values("x").astype(float)  # noqa: E731
    problem = problem_on(NUMBERS, objectives=(SCORE,), constraints=(limit,), exact_metrics={"cost": cost})
    observations = [
        Observation({"x": 0.5 + 0.06 * step, "y": step / 8}, {"score": step / 8, "cost": 0.5 + 0.06 * step})
        for step in range(8)
    ]
    found = only(suggest(problem, observations, pending=[], count=1, seed=0))
    assert found.generated_by == "logei"
    assert float(found.parameterization["x"]) <= 0.3
    assert float(found.parameterization["y"]) > 0.5
