"""Optuna's distributions as parameters of a search space, and back. Knows no storage and no server."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from numbers import Integral
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial
from pydantic import TypeAdapter, ValidationError

from api_schemas.search_space import (
    BoolParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    ParameterValue,
    SearchSpace,
)
from paretune.errors import BridgeError
from paretune.optuna_bridge.names import parameter_names
from paretune.optuna_bridge.presence import read_conditions
from paretune.printable import encodable

NONE = "None"
"""What a choice of nothing is called here."""

MOST_CHOICES = 1000
CLOSE = 1e-8
"""How far from a point of a grid a value may lie, as a share of the step; Optuna's own tolerance."""

SHOWN_VALUES = 6

ANY_PARAMETER: TypeAdapter[Parameter] = TypeAdapter(Parameter)


@dataclass(frozen=True)
class ReadSpace:
    """A search space made from trials, and what differs from what Optuna searched."""

    search_space: SearchSpace
    notes: tuple[str, ...]


def sentence_of(item: Mapping[str, Any]) -> str:
    """Return what is wrong with a value of Optuna's."""
    if item["type"] == "string_unicode":
        return "a text holds half a surrogate pair, which is no character"
    return str(item["msg"])


def constants(trials: Sequence[FrozenTrial]) -> set[str]:
    """Name the parameters that could take one value only."""
    return {name for name, seen in distributions(trials).items() if len(seen) == 1 and seen[0].single()}


def distributions(trials: Sequence[FrozenTrial]) -> dict[str, list[BaseDistribution]]:
    """Collect the different distributions of each parameter, in order of appearance."""
    found: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            seen = found.setdefault(name, [])
            if distribution not in seen:
                seen.append(distribution)
    return found


def read_space(trials: Sequence[FrozenTrial]) -> ReadSpace:
    """Make one search space of all that the trials searched: the widest bounds, with conditions.

    Raises:
        BridgeError: If a search space cannot say it.
    """
    fixed = constants(trials)
    found = {name: seen for name, seen in distributions(trials).items() if name not in fixed}
    if not found:
        raise BridgeError("Every parameter of these trials has one value only: there is nothing to search.")
    names = parameter_names(found)
    parameters = {names[name]: parameter_of(names[name], seen) for name, seen in found.items()}
    values = [
        {
            names[name]: value_of(parameters[names[name]], value)
            for name, value in trial.params.items()
            if name in names
        }
        for trial in trials
    ]
    read = read_conditions(parameters, values)
    parameters_here = {**parameters, **{switch: BoolParameter(name=switch) for switch in read.switches}}
    placed = tuple(
        parameters_here[name].model_copy(update={"when": condition})
        for name, condition in read.placed.items()
    )
    notes = (
        *_notes(found, fixed, parameters),
        *_switch_notes(read.switches, values),
        *_condition_notes(item for item in placed if item.when and item.when.parameter not in read.switches),
    )
    return ReadSpace(_space(placed), notes)


def parameter_of(name: str, seen: Sequence[BaseDistribution]) -> Parameter:
    """Make a parameter of the distributions that it had in Optuna.

    Raises:
        BridgeError: If they differ in more than their bounds, or a choice is nothing that JSON can say.
    """
    first, *others = seen
    choices = first.choices if isinstance(first, CategoricalDistribution) else ()
    if any(isinstance(choice, str) and encodable(choice) != choice for choice in choices):
        raise BridgeError(
            f"The parameter '{name}' cannot be searched here: a choice holds half a surrogate pair, which is "
            "no character."
        )
    odd = [choice for choice in choices if not _is_plain(choice)]
    if odd:
        raise BridgeError(
            f"The parameter '{name}' cannot be searched here: its choice {odd[0]!r} is neither text, switch, "
            "finite number nor None."
        )
    try:
        for other in others:
            check_distribution_compatibility(first, other)
        return ANY_PARAMETER.validate_python({"name": name, **_fields(seen)})
    except ValidationError as error:
        why = "; ".join(map(sentence_of, error.errors()))
        raise BridgeError(f"The parameter '{name}' cannot be searched here: {why}.") from error
    except ValueError as error:
        raise BridgeError(f"The parameter '{name}' changes from trial to trial: {error}") from error


def value_of(parameter: Parameter, value: Any) -> ParameterValue:
    """Spell a value of Optuna as a parameter does; what the parameter does not take stays as it is."""
    if value is None:
        return NONE
    if isinstance(value, bool | str):
        return value
    if isinstance(parameter, OrdinalParameter):
        nearest = min(parameter.choices, key=lambda choice: abs(choice - value))
        least_step = min((right - left for left, right in pairwise(parameter.choices)), default=1)
        return nearest if abs(nearest - value) <= CLOSE * least_step else _number(value)
    if isinstance(parameter, IntParameter) and float(value).is_integer():
        return int(value)
    return _number(value)


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Make a distribution of a parameter. A choice of numbers is a choice: Optuna knows no order of choices.

    Raises:
        BridgeError: If Optuna would take two of its choices for one.
    """
    if isinstance(parameter, FloatParameter):
        last = parameter.high if parameter.steps is None else parameter.value_at(parameter.steps)
        return FloatDistribution(parameter.low, last, log=parameter.log, step=parameter.step)
    if isinstance(parameter, IntParameter):
        whole = parameter.high if parameter.steps is None else parameter.value_at(parameter.steps)
        return IntDistribution(parameter.low, whole, log=parameter.log, step=parameter.step or 1)
    if isinstance(parameter, BoolParameter):
        return CategoricalDistribution([False, True])
    if len(set(parameter.choices)) < len(parameter.choices):
        raise BridgeError(
            f"The choices of '{parameter.name}' hold a switch and a number that Optuna takes for one "
            "(true and 1, or false and 0)."
        )
    return CategoricalDistribution(parameter.choices)


def _is_plain(choice: object) -> bool:
    return isinstance(choice, str | bool | int | None) or (
        isinstance(choice, float) and math.isfinite(choice)
    )


def _fields(seen: Sequence[BaseDistribution]) -> dict[str, Any]:
    first = seen[0]
    if isinstance(first, CategoricalDistribution):
        choices = [NONE if choice is None else choice for choice in first.choices]
        if len(choices) == 2 and all(isinstance(choice, bool) for choice in choices):
            return {"type": "bool"}
        return {"type": "categorical", "choices": choices}
    numbers = [item for item in seen if isinstance(item, FloatDistribution | IntDistribution)]
    low, high = min(item.low for item in numbers), max(item.high for item in numbers)
    grid = _grid(numbers)
    if grid is not None:
        return {"type": "ordinal", "choices": grid}
    kind = "int" if isinstance(first, IntDistribution) else "float"
    return {"type": kind, "low": low, "high": high, "log": numbers[0].log}


def _grid(numbers: Sequence[FloatDistribution | IntDistribution]) -> list[int | float] | None:
    """List the points of a grid; None where every number is one, or there are more points than choices."""
    cast = int if isinstance(numbers[0], IntDistribution) else float
    points: set[int | float] = set()
    for item in numbers:
        if item.step is None or (cast is int and item.step == 1):
            return None
        low, high, step = (Decimal(str(value)) for value in (item.low, item.high, item.step))
        count = int((high - low) / step) + 1
        if count > MOST_CHOICES:
            return None
        points.update(cast(low + position * step) for position in range(count))
    return sorted(points) if len(points) <= MOST_CHOICES else None


def _space(parameters: tuple[Parameter, ...]) -> SearchSpace:
    try:
        return SearchSpace(parameters=parameters)
    except ValidationError as error:
        why = "; ".join(item["msg"] for item in error.errors())
        raise BridgeError(f"The search space of these trials cannot be searched here: {why}.") from error


def _notes(
    found: Mapping[str, Sequence[BaseDistribution]],
    fixed: Collection[str],
    parameters: Mapping[str, Parameter],
) -> Iterator[str]:
    for name in sorted(fixed):
        yield f"'{name}' has one value only and is left out."
    for (name, seen), parameter in zip(found.items(), parameters.values(), strict=True):
        if name != parameter.name:
            yield f"'{name}' is called '{parameter.name}'."
        if any(isinstance(item, CategoricalDistribution) and None in item.choices for item in seen):
            yield f"The choice None of '{name}' is the text '{NONE}'."
        if isinstance(parameter, FloatParameter | IntParameter) and _has_steps(seen):
            yield f"'{name}' is searched without its step: its grid has more than {MOST_CHOICES} points."


def _switch_notes(
    switches: Mapping[str, str], trials: Sequence[Mapping[str, ParameterValue]]
) -> Iterator[str]:
    for switch, name in switches.items():
        having = sum(name in trial for trial in trials)
        yield (
            f"Nothing decides which trials have '{name}' ({having} of {len(trials)} do): the switch "
            f"'{switch}' says it, and where it is false a trial goes without."
        )


def _condition_notes(parameters: Iterable[Parameter]) -> Iterator[str]:
    for parameter in parameters:
        if parameter.when is not None:
            values = ", ".join(map(str, parameter.when.values[:SHOWN_VALUES]))
            more = ", ..." if len(parameter.when.values) > SHOWN_VALUES else ""
            parent = parameter.when.parameter
            yield f"'{parameter.name}' is searched where '{parent}' is one of {values}{more}."


def _has_steps(seen: Sequence[BaseDistribution]) -> bool:
    return any(
        isinstance(item, FloatDistribution | IntDistribution) and item.step not in (None, 1) for item in seen
    )


def _number(value: float) -> int | float:
    # NumPy's numbers are no numbers of JSON.
    return int(value) if isinstance(value, Integral) else float(value)
