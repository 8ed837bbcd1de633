"""The value of an expression for many candidates at once.

An inactive parameter reads as 0, has none of its values, and a table gives 0 for it. True counts as 1.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from api_schemas.json_values import Identity, Parameterization, ParameterValue, identity
from service.expressions.tree import Active, Call, Chain, Default, Literal, Node, Read, Table

Numbers = NDArray[np.float64]

FUNCTIONS: Mapping[str, Any] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "negative": np.negative,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
}


class Columns(Protocol):
    """Candidates of a search space, parameter by parameter."""

    def __len__(self) -> int:
        """Count the candidates."""
        ...

    def active(self, name: str) -> NDArray[np.bool_]:
        """Return where a parameter is active."""
        ...

    def values(self, name: str) -> NDArray[Any]:
        """Return the values of a parameter; entries are meaningless where it is inactive."""
        ...

    def takes(self, name: str, value: ParameterValue) -> NDArray[np.bool_]:
        """Return where a parameter is active and has a value."""
        ...


class Rows:
    """Canonical parameterizations as columns, each of which is made once."""

    def __init__(self, parameterizations: Sequence[Parameterization]) -> None:
        self._rows = parameterizations
        self._columns: dict[str, tuple[NDArray[Any], NDArray[np.int64], dict[Identity, int]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def active(self, name: str) -> NDArray[np.bool_]:
        """Return where a parameter is active."""
        return self._column(name)[1] >= 0

    def values(self, name: str) -> NDArray[Any]:
        """Return the values of a parameter; 0 where it is inactive."""
        return self._column(name)[0]

    def takes(self, name: str, value: ParameterValue) -> NDArray[np.bool_]:
        """Return where a parameter is active and has a value."""
        _, places, known = self._column(name)
        return np.asarray(places == known.get(identity(value), len(known)))

    def _column(self, name: str) -> tuple[NDArray[Any], NDArray[np.int64], dict[Identity, int]]:
        """Return the values of a parameter, and for each the number of its identity; -1 where inactive."""
        if name not in self._columns:
            known: dict[Identity, int] = {}
            places = [
                known.setdefault(identity(row[name]), len(known)) if name in row else -1 for row in self._rows
            ]
            values = np.array([row.get(name, 0) for row in self._rows], dtype=object)
            self._columns[name] = values, np.array(places, dtype=np.int64), known
        return self._columns[name]


def evaluate(node: Node, columns: Columns) -> Numbers:
    """Return the value for each candidate; where there is none, NaN or an infinity."""
    with np.errstate(all="ignore"):
        value = _value(node, columns)
    return np.broadcast_to(np.asarray(value, dtype=np.float64), len(columns)).copy()


def _value(node: Node, columns: Columns) -> Any:
    match node:
        case Literal(value):
            return float(value)
        case Read(name):
            return _read(name, columns, otherwise=0.0)
        case Default(name, otherwise):
            return _read(name, columns, otherwise=_value(otherwise, columns))
        case Active(name):
            return columns.active(name).astype(np.float64)
        case Chain(first, rest):
            total = _value(first, columns)
            for operator, operand in rest:
                total = FUNCTIONS[operator](total, _value(operand, columns))
            return total
        case Table(name, entries):
            total = np.zeros(len(columns))
            for key, entry in entries:
                total = np.where(columns.takes(name, key.value), _value(entry, columns), total)
            return total
        case Call():
            return _called(node, columns)


def _read(name: str, columns: Columns, *, otherwise: Any) -> Numbers:
    active = columns.active(name)
    values = columns.values(name)
    return np.where(active, values.astype(np.float64), otherwise)


def _called(node: Call, columns: Columns) -> Any:
    choice = compared_choice(node)
    if choice is not None:
        taken = columns.takes(choice[0].name, choice[1].value)
        return np.where(taken, 1.0, 0.0) if node.function == "==" else np.where(taken, 0.0, 1.0)
    arguments = [_value(argument, columns) for argument in node.arguments]
    if node.function in ("min", "max"):
        return reduce(np.minimum if node.function == "min" else np.maximum, arguments)
    return np.asarray(FUNCTIONS[node.function](*arguments), dtype=np.float64)


def compared_choice(node: Call) -> tuple[Read, Literal] | None:
    """Return parameter and value of a comparison of just the two, by identity: `p == "a"`, `3 != p`."""
    if node.function not in ("==", "!="):
        return None
    match node.arguments:
        case (Read() as read, Literal() as value) | (Literal() as value, Read() as read):
            return read, value
        case _:
            return None
