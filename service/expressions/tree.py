"""What an expression is made of: a small tree, which has no other meaning than `evaluation` gives it."""

from collections.abc import Iterator
from dataclasses import dataclass

from api_schemas.json_values import ParameterValue


@dataclass(frozen=True)
class Literal:
    """A number, `true`, `false`, or a text. `at` counts the expression's characters from 1, as below."""

    value: ParameterValue
    at: int


@dataclass(frozen=True)
class Read:
    """The value of a parameter."""

    name: str
    at: int


@dataclass(frozen=True)
class Active:
    """1 where a parameter is active, else 0."""

    name: str
    at: int


@dataclass(frozen=True)
class Default:
    """The value of a parameter where it is active, else another."""

    name: str
    otherwise: "Node"
    at: int


@dataclass(frozen=True)
class Call:
    """A function of numbers: one of `parsing.FUNCTIONS`, the negative, a power or a comparison."""

    function: str
    arguments: tuple["Node", ...]
    at: int


@dataclass(frozen=True)
class Chain:
    """Operators of one rank, from left to right: `a - b + c`. Flat, so that long sums are not deep."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]
    at: int


@dataclass(frozen=True)
class Table:
    """A value for each choice of a parameter."""

    name: str
    entries: tuple[tuple[Literal, "Node"], ...]
    at: int


Node = Literal | Read | Active | Default | Call | Chain | Table


def children(node: Node) -> tuple[Node, ...]:
    """Return the expressions that a node combines."""
    match node:
        case Call():
            return node.arguments
        case Chain():
            return (node.first, *(operand for _, operand in node.rest))
        case Table():
            return tuple(value for _, value in node.entries)
        case Default():
            return (node.otherwise,)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it."""
    yield node
    for child in children(node):
        yield from walk(child)
