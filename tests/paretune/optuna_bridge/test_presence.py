"""Conditions read off trials."""

import pytest

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    Condition,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
)
from paretune.optuna_bridge.presence import read_conditions


def read(
    parameters: list[Parameter], trials: list[Parameterization]
) -> dict[str, tuple[str, tuple[object, ...]]]:
    found = read_conditions({parameter.name: parameter for parameter in parameters}, trials)
    return {name: (when.parameter, when.values) for name, when in found.placed.items() if when is not None}


X = FloatParameter(name="x", low=0, high=1)
LAYERS = IntParameter(name="layers", low=1, high=4)
KIND = CategoricalParameter(name="kind", choices=("adam", "sgd", "lion"))


def test_what_nothing_decides_has_a_switch_of_its_own() -> None:
    """A real number decides nothing, and the same kind stands with and without."""
    trials: list[Parameterization] = [{"kind": "sgd", "x": 0.1}, {"kind": "sgd"}]
    assert read([KIND, X], trials) == {"x": ("x_given", (True,))}


def test_parameters_that_come_together_share_a_switch() -> None:
    """Later trials have two more, and one more only where the first of them says so."""
    trials: list[Parameterization] = [
        {"x": 0.1}, {"x": 0.2}, {"x": 0.3, "kind": "sgd", "layers": 1}, {"x": 0.3, "kind": "adam"},
    ]  # fmt: skip
    found = read_conditions({item.name: item for item in (X, KIND, LAYERS)}, trials)
    assert found.switches == {"kind_given": "kind"}
    assert list(found.placed) == ["x", "kind_given", "kind", "layers"]
    assert found.placed["layers"] == Condition.model_validate({"parameter": "kind", "in": ["sgd"]})


def test_a_switch_takes_no_name_that_there_is() -> None:
    """Of a parameter of Optuna that is called so."""
    taken = BoolParameter(name="x_given")
    trials: list[Parameterization] = [{"x_given": True}, {"x_given": True, "x": 0.1}]
    assert read([taken, X], trials) == {"x": ("x_given_", (True,))}


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
