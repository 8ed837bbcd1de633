"""Every canonical parameterization survives the unit cube."""

import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.search_space import SearchSpace
from service.optimization.candidates import density_sample, mutation_codes, neighbours
from service.optimization.encoding import encode
from service.optimization.grid import Grid

SPACE = SearchSpace.model_validate(
    {
        "parameters": [
            {"type": "float", "name": "rate", "low": 1e-4, "high": 1e-1, "log": True},
            {"type": "float", "name": "decay", "low": -1.0, "high": 1.0},
            {"type": "int", "name": "epochs", "low": 1, "high": 1000, "log": True},
            {"type": "int", "name": "warm", "low": 0, "high": 7},
            {"type": "ordinal", "name": "size", "choices": [0, 1, 3, 6, 12]},
            {"type": "categorical", "name": "kind", "choices": ["a", 1, True, 2.5]},
            {"type": "bool", "name": "on"},
            {"type": "int", "name": "deep", "low": 0, "high": 3, "when": {"parameter": "on", "in": [True]}},
            {"type": "bool", "name": "deeper", "when": {"parameter": "deep", "in": [0, 3]}},
        ]
    }
)


@given(st.integers(0, 10**6))
def test_encoding_loses_nothing(seed: int) -> None:
    """Exact for everything discrete, to rounding for floats; types are kept; rows lie in the cube."""
    (given_values,) = density_sample(SPACE, 1, rng=random.Random(seed))
    row = encode(SPACE, [given_values])
    grid = Grid(SPACE)
    (found,) = grid.parameterizations(grid.decode(row.numpy()))
    assert found.keys() == given_values.keys()
    assert ((row >= 0) & (row <= 1)).all()
    for name, value in given_values.items():
        assert type(found[name]) is type(value)
        if isinstance(value, float) and name != "kind":
            assert abs(float(found[name]) - value) < 1e-9
        else:
            assert found[name] == value


def test_a_categorical_takes_a_column_for_each_choice() -> None:
    """Eight parameters of one column and one of four."""
    assert Grid(SPACE).dimensions == 8 + 4
    assert encode(SPACE, []).shape == (0, 12)


def test_inactive_parameters_are_zero() -> None:
    """Two spellings of one configuration are one row."""
    base = {"rate": 1e-2, "decay": 0.0, "epochs": 5, "warm": 1, "size": 3, "kind": "a", "on": False}
    noisy = {**base, "deep": 3, "deeper": True}
    assert torch.equal(encode(SPACE, [SPACE.active(base)]), encode(SPACE, [SPACE.active(noisy)]))


@given(st.integers(0, 10**6))
def test_neighbours_and_mutations_are_canonical_and_legal(seed: int) -> None:
    """Whatever changes, every value belongs to its parameter and no inactive one is kept."""
    rng = random.Random(seed)
    (start,) = density_sample(SPACE, 1, rng=rng)
    parameters = {parameter.name: parameter for parameter in SPACE.parameters}
    grid = Grid(SPACE)
    mutated = mutation_codes(grid, grid.codes([start]), rng=np.random.default_rng(seed))
    for changed in [*neighbours(SPACE, start, rng=rng), *grid.parameterizations(mutated)]:
        assert changed == SPACE.active(changed)
        assert all(parameters[name].contains(value) for name, value in changed.items())


def test_a_neighbour_differs_in_one_parameter() -> None:
    """Besides the ones that its change wakes up or puts to sleep."""
    space = SearchSpace.model_validate(
        {
            "parameters": [
                {"type": "bool", "name": "a"},
                {"type": "ordinal", "name": "b", "choices": [1, 2, 3]},
            ]
        }
    )
    found = list(neighbours(space, {"a": True, "b": 2}, rng=random.Random(0)))
    assert sorted(map(repr, found)) == sorted(
        map(repr, [{"a": False, "b": 2}, {"a": True, "b": 1}, {"a": True, "b": 3}])
    )
