"""Importance of parameters, against functions whose Sobol indices are known exactly."""

import math
import random

import pytest
import torch
from torch import Tensor

from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.candidates import density_sample
from service.optimization.grid import Grid
from service.optimization.importance import importance_for, numbered_groups, total_effects, weigh_parameters
from service.optimization.problem import Observation
from tests.service.optimization.problems import autopeft_problem, observe, problem_on, simulated_score


def space_of(*parameters: dict[str, object]) -> SearchSpace:
    return SearchSpace.model_validate({"parameters": list(parameters)})


def number(name: str, **changes: object) -> dict[str, object]:
    return {"type": "float", "name": name, "low": 0.0, "high": 1.0, **changes}


def switch(name: str, **changes: object) -> dict[str, object]:
    return {"type": "bool", "name": name, **changes}


def effects(space: SearchSpace, function: object, *sets: set[str], rows: int = 20_000) -> list[float]:
    return total_effects(Grid(space), function, sets=sets, rows=rows, seed=0)  # type: ignore[arg-type]


def test_a_constant_function_has_no_important_parameter() -> None:
    """Zero instead of a division by zero."""
    assert effects(space_of(number("x")), lambda X: torch.ones(len(X)), {"x"}) == [0.0]


def test_the_ishigami_function_has_its_published_indices() -> None:
    """Total effects 0.5576, 0.4424 and 0.2437 for a = 7, b = 0.1 (Saltelli and others 2010, table 4)."""

    def ishigami(X: Tensor) -> Tensor:
        x, y, z = (math.pi * (2 * X - 1)).T
        return torch.sin(x) + 7 * torch.sin(y) ** 2 + 0.1 * z**4 * torch.sin(x)

    space = space_of(number("x"), number("y"), number("z"))
    found = effects(space, ishigami, {"x"}, {"y"}, {"z"}, {"x", "z"})
    assert found == pytest.approx([0.5576, 0.4424, 0.2437, 0.5576], abs=0.02)


def test_an_additive_function_shares_its_variance_out() -> None:
    """A switch of weight 3, one of 1, a categorical that does nothing: 9/10, 1/10, 0."""
    space = space_of(
        switch("a"), switch("b"), {"type": "categorical", "name": "c", "choices": ["x", "y", "z"]}
    )
    found = effects(space, lambda X: 3 * X[:, 0] + X[:, 1], {"a"}, {"b"}, {"c"}, {"a", "b"})
    assert found == pytest.approx([0.9, 0.1, 0.0, 1.0], abs=0.03)


def test_an_inactive_parameter_has_no_effect_while_it_sleeps() -> None:
    """With b while a is on, else 0: total effects 2/3 each, of both together 1."""
    space = space_of(switch("a"), switch("b", when={"parameter": "a", "in": [True]}))
    found = effects(space, lambda X: X[:, 1], {"a"}, {"b"}, {"a", "b"})
    # Var f = 3/16. E[Var(f|b)] = 1/2 * 1/4, E[Var(f|a)] = 1/2 * 1/4.
    assert found == pytest.approx([2 / 3, 2 / 3, 1.0], abs=0.05)


def test_what_differs_in_a_last_number_is_a_group() -> None:
    """Layers are one; a lone number and plain names are none."""
    space = space_of(switch("p.layers.0"), switch("p.layers.1"), switch("p.other.0"), switch("q"))
    assert numbered_groups(space) == {"p.layers.*": frozenset({"p.layers.0", "p.layers.1"})}


def test_the_most_important_comes_first_and_layers_are_also_one_bar() -> None:
    """Two switches of equal weight: a half each, together everything."""
    space = space_of(switch("l.0"), switch("l.1"), switch("l.2"))
    found = importance_for("score", Grid(space), lambda X: X[:, 1] + 2 * X[:, 2], rows=20_000, seed=0)
    assert [item.name for item in found.parameters] == ["l.2", "l.1", "l.0"]
    assert [(item.name, round(item.total_effect, 1)) for item in found.groups] == [("l.*", 1.0)]


def test_before_twice_the_design_nothing_is_claimed() -> None:
    """The answer is empty and says what is missing."""
    problem = problem_on([switch("a")])
    few = [Observation({"a": bool(n % 2)}, {"score": 0.1 * n, "training_seconds": 1.0}) for n in range(9)]
    found = weigh_parameters(problem, few, earlier=(), seed=0).importance
    assert (found.observations, found.objectives) == (9, ())
    assert found.reason is not None
    assert "from 10 on" in found.reason


def test_the_fitted_model_finds_what_the_simulation_is_made_of() -> None:
    """Sizes and layers matter to the score; a known cost is computed once, and quickly enough."""
    problem = autopeft_problem(6)

    def score(values: Parameterization) -> float:
        return simulated_score(values, 6)

    drawn = density_sample(problem.search_space, 40, rng=random.Random(0))
    observations = [observe(problem, values, score) for values in drawn]
    found = weigh_parameters(problem, observations, earlier=(), seed=0).importance
    by_score, by_cost = found.objectives
    assert by_score.groups[0].total_effect > 0.2
    top = {item.name for item in by_score.parameters[:4]}
    assert {"peft.serial_adapter.bottleneck_size", "peft.parallel_adapter.bottleneck_size"} & top
    assert by_cost.metric == "trainable_parameters"
    again = weigh_parameters(problem, observations, earlier=(by_cost,), seed=1).importance
    assert again.objectives[1] is by_cost


def test_rows_are_those_of_the_canonical_form() -> None:
    """Nothing inactive is left in them: the model sees what it was fitted on."""
    space = space_of(switch("a"), number("b", when={"parameter": "a", "in": [True]}))
    seen: list[Tensor] = []

    def remember(X: Tensor) -> Tensor:
        seen.append(X)
        return X[:, 0] + X[:, 1]

    effects(space, remember, {"a"}, rows=200)
    asleep = seen[0][seen[0][:, 0] == 0]
    assert len(asleep) > 10
    assert (asleep == 0).all()
