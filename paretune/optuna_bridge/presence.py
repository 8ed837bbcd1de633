"""Read off past trials which parameters are there only for some values of another one. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from api_schemas.search_space import (
    BoolParameter,
    Condition,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    ParameterValue,
)
from paretune.optuna_bridge.names import given_name

MOST_VALUES = 1000
"""A condition lists its values."""


@dataclass(frozen=True)
class Conditions:
    """When each parameter is there, none before its parent.

    `switches` name the parameter that each switch made here stands for.
    """

    placed: Mapping[str, Condition | None]
    switches: Mapping[str, str]


def read_conditions(
    parameters: Mapping[str, Parameter], trials: Sequence[Mapping[str, ParameterValue]]
) -> Conditions:
    """Return each parameter its condition.

    A parameter that some trials lack depends on one whose values tell the trials with it from those
    without. Numbers are cut at the least or the greatest value seen with it; of other values, those seen
    with it wake it up. Where nothing decides, as where later trials have a parameter more, a switch of its
    own says whether a trial has it.
    """
    known, seen = dict(parameters), list(trials)
    switches: dict[str, str] = {}
    placed: dict[str, Condition | None] = {
        name: None for name in parameters if all(name in trial for trial in trials)
    }
    waiting = [name for name in parameters if name not in placed]
    while waiting:
        found = _next_placed(waiting, placed, known, seen)
        if found is None:
            switch = _switch_name(waiting[0], known)
            known[switch], placed[switch] = BoolParameter(name=switch), None
            switches[switch] = waiting[0]
            seen = [{**trial, switch: waiting[0] in trial} for trial in seen]
            continue
        name, placed[name] = found
        waiting.remove(name)
    return Conditions(placed, switches)


def _switch_name(parameter: str, known: Collection[str]) -> str:
    name = given_name(parameter)
    while name in known:
        name += "_"
    return name


def _next_placed(
    waiting: Sequence[str],
    placed: Mapping[str, Condition | None],
    parameters: Mapping[str, Parameter],
    trials: Sequence[Mapping[str, ParameterValue]],
) -> tuple[str, Condition] | None:
    for name in waiting:
        for parent in placed:
            condition = _condition(name, parameters[parent], trials)
            if condition is not None:
                return name, condition
    return None


def _condition(
    name: str, parent: Parameter, trials: Sequence[Mapping[str, ParameterValue]]
) -> Condition | None:
    if isinstance(parent, FloatParameter):
        return None
    having = [trial for trial in trials if name in trial]
    if any(parent.name not in trial for trial in having):
        return None
    present = [trial[parent.name] for trial in having]
    absent = [trial[parent.name] for trial in trials if name not in trial and parent.name in trial]
    waking = Condition.model_validate({"parameter": parent.name, "in": _distinct(present)})
    if any(waking.met_by(value) for value in absent):
        return None
    if isinstance(parent, IntParameter | OrdinalParameter):
        return Condition.model_validate(
            {"parameter": parent.name, "in": _beyond_the_cut(parent, present, absent)}
        )
    return waking


def _beyond_the_cut(
    parent: IntParameter | OrdinalParameter,
    present: Sequence[ParameterValue],
    absent: Sequence[ParameterValue],
) -> tuple[ParameterValue, ...]:
    """Take every number on the side of the cut where the parameter is, if there is such a cut."""
    with_it, without = [float(value) for value in present], [float(value) for value in absent]
    if isinstance(parent, IntParameter) and parent.high - parent.low >= MOST_VALUES:
        return _distinct(present)
    legal = parent.choices if isinstance(parent, OrdinalParameter) else range(parent.low, parent.high + 1)
    if without and min(with_it) > max(without):
        return tuple(value for value in legal if value >= min(with_it))
    if without and max(with_it) < min(without):
        return tuple(value for value in legal if value <= max(with_it))
    return _distinct(present)


def _distinct(values: Sequence[ParameterValue]) -> tuple[ParameterValue, ...]:
    # As dictionary keys, True and 1 would be the same.
    return tuple({(isinstance(value, bool), value): value for value in values}.values())
