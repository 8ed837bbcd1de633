"""Merge a preset's parameters with the client's own, which take precedence. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from api_schemas.derived_settings import DERIVED, SET_BY
from api_schemas.search_space import Condition, Parameter


def overridden(inherited: Sequence[Parameter], posted: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Return the preset's parameters, where the client has none in their place, and then the client's.

    One of the client's that conditions of the preset name stands where the preset's stood. They wait for
    those of its values that they know, and what nothing can wake any more is left out.
    """
    own = {parameter.name: parameter for parameter in posted}
    named = {parameter.when.parameter for parameter in inherited if parameter.when is not None}
    parents = {parameter.name: own[parameter.name] for parameter in inherited if parameter.name in own}
    in_place = {name: parameter for name, parameter in parents.items() if name in named}
    return (
        *_merged(inherited, own=own, in_place=in_place),
        *(parameter for parameter in posted if parameter.name not in in_place),
    )


def _merged(
    inherited: Sequence[Parameter], *, own: Mapping[str, Parameter], in_place: Mapping[str, Parameter]
) -> Iterator[Parameter]:
    asleep: set[str] = set()
    for parameter in inherited:
        if parameter.name in in_place:
            yield in_place[parameter.name]
        elif not own.keys() & _same_place(parameter.name):
            kept = _waking(parameter, in_place=in_place, asleep=asleep)
            if kept is None:
                asleep.add(parameter.name)
            else:
                yield kept


def _same_place(name: str) -> set[str]:
    """Return the names that set the same: a setting, and the multiple that it is set by."""
    same = {name, SET_BY.get(name, name)}
    return same | {DERIVED[name].sets} if name in DERIVED else same


def _waking(parameter: Parameter, *, in_place: Mapping[str, Parameter], asleep: set[str]) -> Parameter | None:
    """Return a parameter with what still wakes it, or None."""
    when = parameter.when
    if when is None:
        return parameter
    if when.parameter in asleep:
        return None
    if when.parameter not in in_place:
        return parameter
    values = tuple(value for value in when.values if in_place[when.parameter].contains(value))
    if not values:
        return None
    condition = Condition.model_validate({"parameter": when.parameter, "in": values})
    return parameter.model_copy(update={"when": condition})
