"""What a suggestion's explanation says, against closed forms, draws by hand and the model's own posterior."""

import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.special import ndtr

from api_schemas.objectives import Metric, Objective, OutcomeConstraint
from api_schemas.search_space import Parameterization
from service.optimization import explanations
from service.optimization.candidates import density_sample
from service.optimization.explanations import predictions
from service.optimization.outcomes import limits_of, outcomes_of
from service.optimization.problem import Problem
from service.optimization.suggest import suggest
from tests.service.optimization.problems import (
    PARAMETERS,
    SCORE,
    SECONDS,
    autopeft_problem,
    candidates,
    observe,
    problem_on,
    simulated_score,
)

SWITCH = [{"type": "bool", "name": "a"}]


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.double)


def front_probability(problem: Problem, means: Tensor, deviations: Tensor, Y: Tensor) -> float:
    outcomes = outcomes_of(problem)
    return explanations.front_probability(
        outcomes,
        limits_of(problem, outcomes),
        objectives=len(problem.objectives),
        means=means,
        deviations=deviations,
        Y=Y,
        seed=0,
    )


def with_known_cost(**changes: object) -> Problem:
    cost = {Metric.TRAINABLE_PARAMETERS: lambda asked: np.full(len(asked), 1000.0)}
    return problem_on(SWITCH, objectives=(SCORE, PARAMETERS), exact_metrics=cost, **changes)


def test_no_observation_keeps_the_first_from_the_front() -> None:
    """Where nobody is as cheap, any score joins."""
    Y = torch.stack([row(0.9, -4.0)])
    probability = front_probability(with_known_cost(), means=row(0.1, -3.0), deviations=row(0.05, 0), Y=Y)
    assert probability == 1.0


def test_the_rival_is_the_best_of_those_no_costlier() -> None:
    """Phi((0.7 - 0.68) / 0.04): the better score that costs more does not count."""
    Y = torch.stack([row(0.9, -4.0), row(0.68, -3.0), row(0.6, -2.0)])
    probability = front_probability(with_known_cost(), means=row(0.7, -3.0), deviations=row(0.04, 0), Y=Y)
    assert probability == pytest.approx(float(ndtr(torch.tensor(0.5))))


def test_who_breaks_a_limit_is_no_rival() -> None:
    """A cheaper and better observation beyond a limit is not on the front, so nothing stands in the way."""
    limit = OutcomeConstraint.model_validate({"metric": "trainable_parameters", "op": ">=", "bound": 500})
    Y = torch.stack([row(0.9, -2.0)])
    probability = front_probability(
        with_known_cost(constraints=(limit,)), means=row(0.5, -3.0), deviations=row(0.1, 0), Y=Y
    )
    assert probability == 1.0


def test_where_nobody_keeps_the_limits_anybody_joins() -> None:
    """The front is empty."""
    limit = OutcomeConstraint.model_validate({"metric": "training_seconds", "op": "<=", "bound": 1.0})
    problem = problem_on(SWITCH, constraints=(limit,))
    Y = torch.stack([row(0.9, -2.0), row(0.8, -3.0)])
    assert front_probability(problem, means=row(0.1, -0.5), deviations=row(0.1, 0.01), Y=Y) == 1.0


def test_draws_agree_with_the_product_of_two_tails() -> None:
    """Two measured objectives, one rival: 1 - P(worse score) * P(more seconds)."""
    means, deviations = row(0.7, -10.0), row(0.1, 2.0)
    Y = torch.stack([row(0.75, -9.0)])
    probability = front_probability(problem_on(SWITCH), means=means, deviations=deviations, Y=Y)
    exact = 1 - float(ndtr(torch.tensor(0.5)) * ndtr(torch.tensor(0.5)))
    assert probability == pytest.approx(exact, abs=0.02)


def test_a_measured_limit_takes_its_share_of_the_chance() -> None:
    """No rival, and half of the draws keep the limit; fewer seconds are better, so outcomes have a minus."""
    limit = OutcomeConstraint.model_validate({"metric": "training_seconds", "op": "<=", "bound": 10.0})
    problem = problem_on(SWITCH, objectives=(SCORE,), constraints=(limit,))
    Y = torch.stack([row(0.1, -5.0)])
    probability = front_probability(problem, means=row(0.9, -10.0), deviations=row(0.01, 2.0), Y=Y)
    assert probability == pytest.approx(0.5, abs=0.03)


def test_predictions_are_in_the_metrics_own_units() -> None:
    """Minimised metrics are positive again, logarithms are undone, what is known is exact."""
    memory = Objective.model_validate({"metric": "peak_memory_bytes", "direction": "minimize"})
    cost = {Metric.TRAINABLE_PARAMETERS: lambda asked: np.full(len(asked), 770.0)}
    problem = problem_on(SWITCH, objectives=(SECONDS, memory, PARAMETERS), exact_metrics=cost)
    found = predictions(
        outcomes_of(problem),
        means=row(-12.0, -6.0, -2.8865),
        deviations=row(1.5, 0.1, 0.0),
        exact={"trainable_parameters": 770.0},
    )
    assert (found["training_seconds"].mean, found["training_seconds"].standard_deviation) == (12.0, 1.5)
    assert found["peak_memory_bytes"].mean == pytest.approx(1e6)
    assert found["peak_memory_bytes"].standard_deviation == pytest.approx(1e5 * math.log(10))
    assert (found["trainable_parameters"].mean, found["trainable_parameters"].standard_deviation) == (770, 0)


def test_a_suggestion_of_the_model_explains_itself() -> None:
    """Score with a deviation, exact parameters, a logarithm and a chance; a designed trial has none."""
    problem = autopeft_problem(4)

    def score(values: Parameterization) -> float:
        return simulated_score(values, 4)

    drawn = density_sample(problem.search_space, 12, rng=random.Random(0))
    observations = [observe(problem, values, score) for values in drawn]
    (modelled,) = suggest(problem, observations, pending=[], count=1, seed=0)
    assert modelled.explanation is not None
    expected = modelled.explanation.predictions
    assert 0.5 < expected["score"].mean < 1.0
    assert 0 < expected["score"].standard_deviation < 0.2
    count = problem.exact_metrics["trainable_parameters"](candidates(problem, [modelled.parameterization]))[0]
    assert expected["trainable_parameters"].mean == count
    assert modelled.explanation.acquisition_value is not None
    assert 0 < (modelled.explanation.front_probability or 0) <= 1
    (designed,) = suggest(problem, [], pending=[], count=1, seed=0)
    assert designed.explanation is None
