"""Conditions read off trials."""

import pytest

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
)
from paretune.errors import BridgeError
from paretune.optuna_bridge.presence import read_conditions


def read(
    parameters: list[Parameter], trials: list[Parameterization]
) -> dict[str, tuple[str, tuple[object, ...]]]:
    found = read_conditions({parameter.name: parameter for parameter in parameters}, trials)
    return {name: (when.parameter, when.values) for name, when in found.items() if when is not None}


X = FloatParameter(name="x", low=0, high=1)
LAYERS = IntParameter(name="layers", low=1, high=4)
KIND = CategoricalParameter(name="kind", choices=("adam", "sgd", "lion"))


def test_what_nothing_decides_is_refused() -> None:
    """A real number decides nothing, and the same kind stands with and without."""
    trials: list[Parameterization] = [{"kind": "sgd", "x": 0.1}, {"kind": "sgd"}]
    with pytest.raises(BridgeError, match="1 of 2 trials lack the parameter 'x', and no single other"):
        read([KIND, X], trials)


def test_a_choice_wakes_a_parameter_up() -> None:
    """Values never seen do not; the parent stands first, whatever the order was."""
    trials: list[Parameterization] = [{"kind": "sgd", "x": 0.1}, {"kind": "adam"}]
    assert read([X, KIND], trials) == {"x": ("kind", ("sgd",))}


@pytest.mark.parametrize(
    ("parent", "values"),
    [(LAYERS, (3, 4)), (OrdinalParameter(name="layers", choices=(1, 2, 3, 8)), (3, 8))],
)
def test_numbers_are_cut(parent: Parameter, values: tuple[int, ...]) -> None:
    """Layer 3 has a width where there are 3 layers or more, seen or not."""
    trials: list[Parameterization] = [{"layers": 1}, {"layers": 2}, {"layers": 3, "x": 0.5}]
    assert read([parent, X], trials) == {"x": ("layers", values)}


def test_numbers_are_cut_from_above_too_or_listed() -> None:
    """What stands on no side is only what was seen."""
    below: list[Parameterization] = [{"layers": 2, "x": 0.5}, {"layers": 3}]
    assert read([LAYERS, X], below) == {"x": ("layers", (1, 2))}
    amid: list[Parameterization] = [{"layers": 1}, {"layers": 2, "x": 0.5}, {"layers": 3}]
    assert read([LAYERS, X], amid) == {"x": ("layers", (2,))}


def test_conditions_stand_on_conditions() -> None:
    """A switch that is there only for one kind; true is not 1."""
    trials: list[Parameterization] = [
        {"kind": "adam"},
        {"kind": "sgd", "momentum": False},
        {"kind": "sgd", "momentum": True, "x": 0.9},
    ]
    assert read([X, BoolParameter(name="momentum"), KIND], trials) == {
        "momentum": ("kind", ("sgd",)),
        "x": ("momentum", (True,)),
    }
