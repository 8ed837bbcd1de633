"""Evolution by Pareto rank: ranks and crowding against closed forms, and the oldest dies."""

import torch

from benchmarks.optimiser.proposers.regularized_evolution import (
    POPULATION,
    crowding_distances,
    pareto_ranks,
    suggest,
)
from service.optimization.problem import Observation
from tests.service.optimization.problems import SCORE, problem_on

SWITCHES = [{"type": "bool", "name": name} for name in "abcdefgh"]


def test_ranks_are_fronts() -> None:
    """Two rows on the front, equal ones together, one behind both, one behind that."""
    Y = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [-1.0, 1.0], [-2.0, -2.0]], dtype=torch.double)
    assert pareto_ranks(Y) == [0, 0, 0, 1, 2]


def test_crowding_is_the_gap_around_a_row() -> None:
    """Of four rows on a line, the ends are lonely, and the third has more room than the second."""
    Y = torch.tensor([[0.0, 10.0], [1.0, 9.0], [4.0, 6.0], [10.0, 0.0]], dtype=torch.double)
    assert crowding_distances(Y).tolist() == [torch.inf, 0.8, 1.8, torch.inf]


def test_a_child_changes_one_parameter_of_a_living_parent() -> None:
    """The best of all has died of age: nobody descends from it."""
    problem = problem_on(SWITCHES, objectives=(SCORE,))
    on = dict.fromkeys("abcdefgh", True)
    young = [{name: bool(n >> place & 1) for place, name in enumerate("abcdefgh")} for n in range(POPULATION)]
    observations = [Observation(on, {"score": 99.0})] + [
        Observation(values, {"score": 0.1 * n}) for n, values in enumerate(young)
    ]
    (child,) = suggest(problem, observations, pending=[], count=1, seed=0)
    changes = [sum(child.parameterization[name] != parent[name] for name in parent) for parent in young]
    assert min(changes) == 1
    assert sum(map(bool, child.parameterization.values())) < 7
