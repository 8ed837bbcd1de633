"""What is left of a space is found, however little it is."""

import dataclasses

import numpy as np
import pytest

from api_schemas.objectives import OutcomeConstraint
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.model_free import draw_new
from service.optimization.problem import Problem
from tests.service.optimization.problems import autopeft_problem, problem_on

HEAD = 1538
PREFIX_OF_ONE = 1536


def nearly_nothing_allowed() -> Problem:
    """Of 4,096 x 1,331 combinations: the head alone, and a prefix of length 1 in one of 12 layers."""
    limit = OutcomeConstraint.model_validate(
        {"metric": "trainable_parameters", "op": "<=", "bound": HEAD + PREFIX_OF_ONE + 10}
    )
    return dataclasses.replace(autopeft_problem(12), constraints=(limit,))


@pytest.mark.nightly
def test_all_thirteen_configurations_within_a_tight_limit_are_found() -> None:
    """And then there is nothing."""
    allowed, rng = CandidateFilter(nearly_nothing_allowed()), np.random.default_rng(0)
    found: list[Parameterization] = []
    while (new := draw_new(allowed, known=found, rng=rng)) is not None:
        allowed.take(new)
        found.append(new)
    assert len(found) == 13


@pytest.mark.parametrize("seed", range(2))
def test_the_only_trial_so_far_being_the_head_alone_is_no_dead_end(seed: int) -> None:
    """All its spellings keep the limit, and only through some that break it there is a way to another."""
    problem = dataclasses.replace(autopeft_problem(24), constraints=nearly_nothing_allowed().constraints)
    allowed = CandidateFilter(problem)
    alone = {one.name: False if one.type == "bool" else 24 for one in problem.search_space.parameters}
    allowed.take(alone)
    assert draw_new(allowed, known=[alone], rng=np.random.default_rng(seed)) is not None


def test_violation_is_a_share_of_the_bound() -> None:
    """Zero within the limit, and beyond it as far as it is exceeded."""
    parameters = [{"type": "float", "name": "x", "low": 0.0, "high": 1.0}]
    limits = [
        OutcomeConstraint.model_validate({"metric": "cost", "op": op, "bound": bound})
        for op, bound in (("<=", 200.0), (">=", 100.0))
    ]
    problem = problem_on(
        parameters,
        constraints=tuple(limits),
        exact_metrics={"cost": lambda c: 400 * c.values("x").astype(float)},
    )
    violation = CandidateFilter(problem).violation(np.array([[0.0], [0.25], [0.5], [0.75]]))
    assert violation.tolist() == [1.0, 0.0, 0.0, 0.5]
