"""Every canonical parameterization survives the unit cube."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.candidates import density_sample, mutation_codes, neighbour_codes
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

GRID = Grid(SPACE)


def encode(*parameterizations: Parameterization) -> np.ndarray:
    return GRID.encode(GRID.codes(parameterizations))


@given(st.integers(0, 10**6))
def test_encoding_loses_nothing(seed: int) -> None:
    """Exact for everything discrete, to rounding for floats; types are kept; rows lie in the cube."""
    (given_values,) = density_sample(SPACE, 1, rng=random.Random(seed))
    row = encode(given_values)
    (found,) = GRID.parameterizations(GRID.decode(row))
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
    assert GRID.dimensions == 8 + 4
    assert encode().shape == (0, 12)


def test_inactive_parameters_are_zero() -> None:
    """Two spellings of one configuration are one row."""
    base = {"rate": 1e-2, "decay": 0.0, "epochs": 5, "warm": 1, "size": 3, "kind": "a", "on": False}
    noisy = {**base, "deep": 3, "deeper": True}
    assert (encode(SPACE.active(base)) == encode(SPACE.active(noisy))).all()


@given(st.integers(0, 10**6))
def test_neighbours_and_mutations_are_canonical_and_legal(seed: int) -> None:
    """Whatever changes, every value belongs to its parameter and no inactive one is kept."""
    (start,) = density_sample(SPACE, 1, rng=random.Random(seed))
    parameters = {parameter.name: parameter for parameter in SPACE.parameters}
    codes, numbers = GRID.codes([start]), np.random.default_rng(seed)
    around = neighbour_codes(GRID, codes, rng=numbers), mutation_codes(GRID, codes, rng=numbers)
    for changed in GRID.parameterizations(np.concatenate(around)):
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
    grid = Grid(space)
    around = neighbour_codes(grid, grid.codes([{"a": True, "b": 2}]), rng=np.random.default_rng(0))
    assert sorted(map(repr, grid.parameterizations(around))) == sorted(
        map(repr, [{"a": False, "b": 2}, {"a": True, "b": 1}, {"a": True, "b": 3}])
    )
