"""One trial of Optuna, read."""

import math
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.objectives import ConstraintOp, Direction, Objective, OutcomeConstraint
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    SearchSpace,
)
from paretune.optuna_bridge.names import INFEASIBLE
from paretune.optuna_bridge.observations import LeftOut, Target, key_of, merged, read_observation
from tests.paretune.optuna_bridge.past_studies import past_trial
from tests.paretune.trials import BASE

TARGET = Target(
    search_space=SearchSpace(
        parameters=(
            CategoricalParameter(name="kind", choices=("adam", "sgd")),
            FloatParameter(name="x", low=0.0, high=0.75),
        )
    ),
    objectives=(
        Objective(metric="cost", direction=Direction.MINIMIZE, log=True),
        Objective(metric="gain", direction=Direction.MAXIMIZE),
    ),
    constraints=(OutcomeConstraint(metric="heat", op=ConstraintOp.AT_LEAST, bound=4.0),),
    configuration=None,
    backbone_shape=None,
    parameters={},
    metrics=("cost", "gain"),
    constraint_metrics={"0": "constraint_0"},
    constants=frozenset(),
    switches={},
)
HEAT = {"heat": 5}


def trial(values: list[float] | None, **changes: Any) -> FrozenTrial:
    return past_trial(values, **{"attributes": HEAT, "kind": "sgd", "x": 0.5, **changes})


@pytest.mark.parametrize(
    ("past", "kind", "example"),
    [
        (trial(None, state=TrialState.FAIL), "failed", "trial -1"),
        (trial(None, state=TrialState.PRUNED), "pruned before", "trial -1"),
        (trial(None, state=TrialState.RUNNING), "not finished", "trial -1"),
        (trial([1.0, 1.0], x=0.9), "outside", "0.9 is not a value of the parameter 'x'"),
        (past_trial([1.0, 1.0], attributes=HEAT, x=0.5), "outside", "'kind' has no value"),
        (trial([1.0, 1.0], attributes={}), "without what the study weighs", "there is no 'heat'"),
        (trial([0.0, 1.0]), "without what the study weighs", "'cost' is on a logarithmic scale and is 0"),
    ],
)
def test_what_is_no_observation_says_why(past: FrozenTrial, kind: str, example: str) -> None:
    """Trials of one reason are counted together, with an example."""
    read = read_observation(past, TARGET)
    assert isinstance(read, LeftOut)
    assert read.kind.startswith(kind)
    assert example in read.example


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e200])
def test_a_value_that_is_no_number_is_infeasible(value: float) -> None:
    """Optuna keeps infinities; the parameters gave them, and the optimiser may learn that."""
    read = read_observation(trial([1.0, value]), TARGET)
    assert isinstance(read, ImportedObservation)
    assert read.metrics is None
    assert f"gain is {value}" in str(read.infeasible)


def test_what_an_export_called_infeasible_is_that() -> None:
    """Its reason comes with it."""
    read = read_observation(
        trial(
            None,
            state=TrialState.PRUNED,
            constraints={INFEASIBLE: 1.0},
            attributes={"paretune:state_reason": "it broke"},
        ),
        TARGET,
    )
    assert read == ImportedObservation(parameters={"kind": "sgd", "x": 0.5}, infeasible="it broke")


def test_numbers_among_the_attributes_are_metrics() -> None:
    """Under names that a metric may have, none that the service writes, and never over an objective."""
    attributes = {
        "heat": 5,
        "cost": 9.0,
        "chance": 0.1,
        "on": True,
        "Loss": 1.0,
        "_loss": 1.0,
        "note": "x",
        "bad": math.nan,
        "huge": 10**400,
    }
    read = read_observation(trial([1.0, 2.0], attributes=attributes), TARGET)
    assert isinstance(read, ImportedObservation)
    assert read.metrics == {"cost": 1.0, "gain": 2.0, "heat": 5.0, "Loss": 1.0}


def test_constraints_are_metrics() -> None:
    """Those of Optuna under their names; one of ours is turned back into what it bounds."""
    past = trial([1.0, 2.0], attributes={}, constraints={"0": -0.5, "heat >= 4.0": -1.0})
    read = read_observation(past, TARGET)
    assert isinstance(read, ImportedObservation)
    assert read.metrics == {"cost": 1.0, "gain": 2.0, "heat": 5.0, "constraint_0": -0.5}


def test_what_trains_the_same_is_one_trial() -> None:
    """Where no layer carries an adapter its size says nothing, and the service would refuse both."""
    space = SearchSpace(
        parameters=(
            BoolParameter(name="peft.active_layers.0"),
            BoolParameter(name="peft.active_layers.1"),
            IntParameter(name="peft.serial_adapter.bottleneck_size", low=1, high=8),
        )
    )
    target = replace(TARGET, search_space=space, configuration=BASE)

    def key(first: bool, size: int) -> str:
        values = (first, False, size)
        names = (parameter.name for parameter in space.parameters)
        parameters = dict(zip(names, values, strict=True))
        return key_of(ImportedObservation(parameters=parameters, infeasible="x"), target)

    assert key(False, 4) == key(False, 8)
    assert key(True, 4) != key(True, 8)


def test_repeats_are_one_with_the_mean() -> None:
    """One without a result says nothing where another has one."""
    first, second = (read_observation(trial([1.0, gain]), TARGET) for gain in (2.0, 4.0))
    failed = ImportedObservation(parameters={"kind": "sgd", "x": 0.5}, infeasible="it broke")
    assert isinstance(first, ImportedObservation)
    assert isinstance(second, ImportedObservation)
    assert key_of(first, TARGET) == key_of(failed, TARGET)
    assert merged([first, failed, second]).metrics == {"cost": 1.0, "gain": 3.0, "heat": 5.0}
    assert merged([failed, failed]) == failed
