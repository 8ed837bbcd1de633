"""The first trials: spread over the cost, and there in every space."""

import dataclasses
import itertools

from api_schemas.objectives import Metric
from api_schemas.search_space import CategoricalParameter, Parameterization
from service.optimization.initial_design import design_size, spread
from service.optimization.suggest import suggest
from tests.service.optimization.problems import NUMBERS, autopeft_problem, candidates, only, problem_on


def test_the_initial_design_spreads_over_the_known_cost() -> None:
    """Ten trials asked for one at a time cover four decades of parameters, cheap and dear ends included."""
    problem = autopeft_problem(12)
    designed: list[Parameterization] = []
    for _ in range(design_size(problem.grid)):
        found = only(suggest(problem, [], pending=designed, count=1, seed=3))
        assert found.generated_by == "initial_design"
        designed.append(found.parameterization)
    costs = sorted(problem.exact_metrics[Metric.TRAINABLE_PARAMETERS](candidates(problem, designed)))
    assert costs[0] < 2e4
    assert costs[-1] > 1e7
    assert max(after / before for before, after in itertools.pairwise(costs)) < 30


def test_a_choice_of_five_makes_the_initial_design_longer_than_a_number_does() -> None:
    """Two categoricals of five choices are ten columns to learn about; two numbers are two."""
    choices = ("a", "b", "c", "d", "e")
    cells = [CategoricalParameter(name=name, choices=choices) for name in "xy"]
    assert design_size(problem_on(cells).grid) == 10
    assert design_size(problem_on(NUMBERS).grid) == 5


def test_starting_points_leave_the_ends_of_the_range_to_the_design() -> None:
    """The cheapest and the dearest are tried, however many points of his own somebody has."""
    middle = [
        {**{f"peft.active_layers.{layer}": True for layer in range(6)}, "peft.prefix_tuning.length": 0,
         "peft.serial_adapter.bottleneck_size": size, "peft.parallel_adapter.bottleneck_size": 0}
        for size in (12, 24, 48)
    ]  # fmt: skip
    problem = dataclasses.replace(autopeft_problem(6), starting_points=tuple(middle))
    found = suggest(problem, [], pending=[], count=5, seed=0)
    listed = candidates(problem, [item.parameterization for item in found])
    costs = problem.exact_metrics[Metric.TRAINABLE_PARAMETERS](listed)
    assert [item.generated_by for item in found] == ["starting_point"] * 3 + ["initial_design"] * 2
    assert costs[3] < 1.2e4
    assert costs[4] > 1e7


def test_a_spread_covers_the_ends_and_then_the_gaps() -> None:
    """Any prefix of the sequence leaves no large gap."""
    assert [spread(position) for position in range(6)] == [0.0, 1.0, 0.5, 0.25, 0.75, 0.125]


def test_a_space_too_wide_for_a_sobol_sequence_gets_a_design() -> None:
    """Choices of a thousand values have a thousand columns each."""
    wide = [
        {"type": "categorical", "name": f"c{n}", "choices": [f"v{k}" for k in range(1000)]} for n in range(22)
    ]
    assert only(suggest(problem_on(wide), [], pending=[], count=1, seed=0)).generated_by == "initial_design"
