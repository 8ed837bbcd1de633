"""What is the same configuration is so everywhere: every suggestion is canonical, whatever the space."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_schemas.proposals import Proposer
from api_schemas.search_space import (
    BoolParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from benchmarks.optimiser.proposers import regularized_evolution
from service.optimization.candidates import (
    density_codes,
    enumerate_codes,
    mutation_codes,
    neighbour_codes,
    swap_codes,
)
from service.optimization.grid import Codes, Grid
from service.optimization.importance import weigh_parameters
from service.optimization.problem import Observation, Problem
from service.optimization.proposers import Suggest, proposer_of
from service.optimization.proposers.even_draws import even_draws
from service.optimization.suggest import suggest
from service.studies.canonical_trials import parameters_key
from tests.service.optimization.problems import problem_on
from tests.service.optimization.spaces import search_spaces

CHEAP: list[Suggest] = [
    proposer_of(Proposer.RANDOM),
    proposer_of(Proposer.SOBOL),
    regularized_evolution.suggest,
]


def is_canonical(space: SearchSpace, values: Parameterization) -> bool:
    """Legal, complete, nothing inactive, each value in its one spelling, the types as well."""
    spelled = space.canonical(values)
    return (
        list(map(repr, values.items())) == list(map(repr, spelled.items()))
        and not space.missing(values)
        and all(space.by_name[name].contains(value) for name, value in values.items())
    )


def problem_of(space: SearchSpace) -> Problem:
    return replace(
        problem_on([{"type": "bool", "name": "unused"}]),
        search_space=space,
        key=lambda values: parameters_key(space.canonical(values)),
    )


def observations_of(problem: Problem, count: int, *, seed: int) -> list[Observation]:
    rng = random.Random(seed)
    drawn = even_draws(problem.search_space, 4 * count, rng=rng)
    distinct = list({problem.key(values): values for values in drawn}.values())[:count]
    return [
        Observation(values, {"score": rng.random(), "training_seconds": 1 + rng.random()})
        for values in distinct
    ]


@given(search_spaces(), st.integers(0, 10**6))
def test_every_candidate_is_canonical(space: SearchSpace, seed: int) -> None:
    """Draws, neighbours, swaps, mutations, listed ones and what the unit cube gives back."""
    grid, rng = Grid(space), np.random.default_rng(seed)
    drawn = density_codes(grid, 8, rng=rng)
    listed = enumerate_codes(grid, limit=64)
    tables: list[Codes] = [
        drawn,
        neighbour_codes(grid, drawn, rng=rng, limit=64),
        swap_codes(grid, drawn, count=2, rng=rng),
        mutation_codes(grid, drawn, rng=rng),
        grid.decode(np.clip(grid.encode(drawn), 0.0, 1.0)),
        grid.decode(np.round(rng.random((8, grid.dimensions)))),
        drawn[:0] if listed is None else listed,
    ]
    for table in tables:
        assert np.isfinite(table).all()
        assert (grid.encode(table) >= 0).all()
        assert (grid.encode(table) <= 1).all()
        assert all(is_canonical(space, values) for values in grid.parameterizations(table))


@given(search_spaces(), st.integers(0, 10**6))
def test_codes_keep_what_a_parent_wakes(space: SearchSpace, seed: int) -> None:
    """A configuration that comes back from its codes with its values has the parameters that it had."""
    grid = Grid(space)
    ends = {parameter.name: _end(parameter, seed) for parameter in space.parameters}
    drawn = [*even_draws(space, 8, rng=random.Random(seed)), space.canonical(ends)]
    known = [values for values in drawn if not space.missing(values)]
    codes = grid.codes(known)
    for values, found in zip(known, grid.parameterizations(grid.canonical(codes, fill=codes)), strict=True):
        rounded = any(found.get(name, value) != value for name, value in values.items())
        assert rounded or found.keys() == values.keys()


def _end(parameter: Parameter, seed: int) -> ParameterValue:
    if isinstance(parameter, BoolParameter):
        return seed % 2 == 0
    if isinstance(parameter, FloatParameter | IntParameter):
        return (parameter.low, parameter.high)[seed % 2]
    return parameter.choices[seed % len(parameter.choices)]


@given(search_spaces(), st.integers(0, 10**6))
def test_keys_survive_json(space: SearchSpace, seed: int) -> None:
    """Of the values, and of the space they are read by."""
    stored = SearchSpace.model_validate(json.loads(json.dumps(space.model_dump(by_alias=True))))
    for values in even_draws(space, 4, rng=random.Random(seed)):
        assert is_canonical(space, values)
        read = json.loads(json.dumps(values))
        assert parameters_key(stored.canonical(read)) == parameters_key(values)


@pytest.mark.slow
@given(search_spaces(), st.integers(0, 10**6), st.sampled_from(CHEAP), st.sampled_from([0, 25]))
def test_every_suggestion_is_canonical(
    space: SearchSpace, seed: int, propose: Suggest, observed: int
) -> None:
    """Of those that draw, and of those that step from what is known."""
    _check_suggestions(space, propose, observed=observed, seed=seed)


@settings(max_examples=15, deadline=None)
@given(search_spaces(), st.integers(0, 10**6), st.sampled_from([0, 3, 14]))
def test_every_modelled_suggestion_is_canonical(space: SearchSpace, seed: int, observed: int) -> None:
    """Of the default proposer: its design, and what its model finds."""
    _check_suggestions(space, suggest, observed=observed, seed=seed)


def _check_suggestions(space: SearchSpace, propose: Suggest, *, observed: int, seed: int) -> None:
    problem = problem_of(space)
    known = observations_of(problem, observed, seed=seed)
    found = propose(problem, known, pending=[], count=3, seed=seed)
    assert all(is_canonical(space, suggestion.parameterization) for suggestion in found)
    keys = [problem.key(item.parameterization) for item in (*known, *found)]
    assert len(set(keys)) == len(keys)


@settings(max_examples=10, deadline=None)
@given(search_spaces(), st.integers(0, 10**6))
def test_importance_is_a_number_on_any_space(space: SearchSpace, seed: int) -> None:
    """A constant has none."""
    problem = problem_of(space)
    found = weigh_parameters(problem, observations_of(problem, 20, seed=seed), earlier=(), seed=0).importance
    for objective in found.objectives:
        for item in objective.parameters:
            assert item.total_effect >= 0
            assert item.total_effect == 0 or not space.by_name[item.name].is_constant
