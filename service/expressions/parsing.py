"""Read an expression into a tree. Nothing is ever evaluated as Python.

    expressions := expression ("," expression)*
    expression  := sum (("==" | "!=" | "<" | "<=" | ">" | ">=") sum)?
    sum         := product (("+" | "-") product)*
    product     := signed (("*" | "/") signed)*
    signed      := "-" signed | power
    power       := atom ("**" signed)?
    atom        := number | text | "true" | "false" | parameter | "(" expression ")"
                 | function "(" expression ("," expression)* ")"
                 | "active" "(" parameter ")" | "default" "(" parameter "," expression ")"
                 | "{" literal ":" expression ("," literal ":" expression)* "}" "[" parameter "]"

A parameter whose name is no word of letters, digits, `_` and dots, or is a word of the grammar, stands in
backquotes.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from api_schemas.json_values import is_number
from service.expressions.tree import Active, Call, Chain, Default, Literal, Node, Read, Table

DEEPEST = 40
"""Brackets, signs and powers in one another, at most: bounds the recursion here and over the tree."""

FUNCTIONS = {"min": (2, None), "max": (2, None), "log": (1, 1), "exp": (1, 1), "sqrt": (1, 1), "abs": (1, 1)}
"""How many arguments each takes, at least and at most. `log` is the natural logarithm."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    | `(?P<quoted>[^`]*)`
    | "(?P<text>[^"]*)"
    | '(?P<single>[^']*)'
    | (?P<operator>\*\*|==|!=|<=|>=|[-+*/<>(){}\[\],:])
    )""",
    re.VERBOSE,
)


class ExpressionError(ValueError):
    """An expression cannot be read. `at` counts its characters from 1."""

    def __init__(self, sentence: str, *, at: int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.at = at


class Token(NamedTuple):
    """A word of an expression."""

    kind: str
    text: str
    at: int

    @property
    def shown(self) -> str:
        """Return the token as error messages quote it."""
        return f"'{self.text}'" if self.kind != "end" else "the end"


@lru_cache(maxsize=256)
def parse(text: str) -> Node:
    """Return the tree of one expression.

    Raises:
        ExpressionError: If the text is not an expression.
    """
    parser = Parser(_tokens(text))
    node = parser.expression()
    parser.expect("end")
    return node


@lru_cache(maxsize=256)
def parse_several(text: str) -> tuple[Node, ...]:
    """Return the trees of expressions with commas between them.

    Raises:
        ExpressionError: If the text is not a list of expressions.
    """
    parser = Parser(_tokens(text))
    nodes = parser.separated()
    parser.expect("end")
    return nodes


def _tokens(text: str) -> list[Token]:
    tokens, place = [], 0
    stripped = text.rstrip()
    while place < len(stripped):
        found = TOKEN.match(stripped, place)
        if found is None:
            place += len(stripped[place:]) - len(stripped[place:].lstrip())
            raise ExpressionError(f"'{stripped[place]}' is no part of an expression", at=place + 1)
        kind = found.lastgroup or ""
        begins = found.start(kind) - (kind in ("quoted", "text", "single"))
        tokens.append(Token("text" if kind == "single" else kind, found[kind], begins + 1))
        place = found.end()
    return [*tokens, Token("end", "", len(stripped) + 1)]


@dataclass
class Parser:
    """Reads tokens from left to right: a method for each rule of the grammar."""

    tokens: list[Token]
    place: int = 0
    depth: int = 0

    @property
    def next(self) -> Token:
        """Return the token that comes next."""
        return self.tokens[self.place]

    def take(self) -> Token:
        """Return the next token and go on behind it."""
        token = self.next
        self.place += 1
        return token

    def sees(self, *operators: str) -> bool:
        """Return whether one of these operators comes next."""
        return self.next.kind == "operator" and self.next.text in operators

    def expect(self, wanted: str) -> Token:
        """Take the operator that must come next, or the end."""
        fits = self.next.kind == "end" if wanted == "end" else self.sees(wanted)
        if not fits:
            said = "an operator or the end" if wanted == "end" else f"'{wanted}'"
            raise ExpressionError(f"{said} is expected before {self.next.shown}", at=self.next.at)
        return self.take() if wanted != "end" else self.next

    def separated(self) -> tuple[Node, ...]:
        """Read expressions with commas between them."""
        nodes = [self.expression()]
        while self.sees(","):
            self.take()
            nodes.append(self.expression())
        return tuple(nodes)

    def expression(self) -> Node:
        """Read an expression; within another one it is a level deeper."""
        return self.deeper(self.comparison)

    def deeper(self, read: Callable[[], Node]) -> Node:
        """Read what stands a level deeper."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"the expression is more than {DEEPEST} levels deep", at=self.next.at)
        node = read()
        self.depth -= 1
        return node

    def comparison(self) -> Node:
        """Read a comparison, or what could stand in one."""
        left = self.chain("+", "-")
        if self.sees(*COMPARISONS):
            operator = self.take()
            return Call(operator.text, (left, self.chain("+", "-")), operator.at)
        return left

    def chain(self, *operators: str) -> Node:
        """Read a sum or a product."""
        at = self.next.at
        below = self.signed if "*" in operators else lambda: self.chain("*", "/")
        first, rest = below(), []
        while self.sees(*operators):
            rest.append((self.take().text, below()))
        return Chain(first, tuple(rest), at) if rest else first

    def signed(self) -> Node:
        """Read what a minus may stand before."""
        if self.sees("-"):
            minus = self.take()
            return _negative(self.deeper(self.signed), at=minus.at)
        node = self.atom()
        if self.sees("**"):
            operator = self.take()
            return Call("**", (node, self.deeper(self.signed)), operator.at)
        return node

    def atom(self) -> Node:
        """Read a value, a call, a table or brackets."""
        if self.sees("{"):
            return self.table()
        if self.sees("("):
            self.take()
            node = self.expression()
            self.expect(")")
            return node
        if self.next.kind == "name" and self.tokens[self.place + 1].text == "(":
            return self.call()
        return self.parameter() if self.next.kind == "quoted" or self._is_name() else self.literal()

    def call(self) -> Node:
        """Read a function and its arguments."""
        word = self.take()
        self.expect("(")
        if word.text == "active":
            node: Node = Active(self.parameter().name, word.at)
        elif word.text == "default":
            name = self.parameter().name
            self.expect(",")
            node = Default(name, self.expression(), word.at)
        elif word.text in FUNCTIONS:
            node = Call(word.text, self.separated(), word.at)
            self._check_arguments(word, len(node.arguments))
        else:
            known = ", ".join([*FUNCTIONS, "active", "default"])
            raise ExpressionError(f"there is no function '{word.text}'; there are {known}", at=word.at)
        self.expect(")")
        return node

    def table(self) -> Node:
        """Read a table and the parameter that it is asked for."""
        brace = self.take()
        entries: list[tuple[Literal, Node]] = []
        while not self.sees("}"):
            key = self.literal()
            self.expect(":")
            entries.append((key, self.expression()))
            if not self.sees("}"):
                self.expect(",")
        self.take()
        self.expect("[")
        name = self.parameter().name
        self.expect("]")
        return Table(name, tuple(entries), brace.at)

    def parameter(self) -> Read:
        """Read the name of a parameter."""
        if self.next.kind != "quoted" and not self._is_name():
            raise ExpressionError(
                f"the name of a parameter is expected before {self.next.shown}", at=self.next.at
            )
        word = self.take()
        return Read(word.text, word.at)

    def literal(self) -> Literal:
        """Read a number, a text, true or false; a number may have a sign."""
        word, negative = self.next, self.sees("-")
        if negative:
            self.take()
        if self.next.kind == "number":
            value = _number(self.take())
            return Literal(-value if negative else value, word.at)
        if not negative and self.next.kind == "text":
            return Literal(self.take().text, word.at)
        if not negative and self.next.kind == "name" and self.next.text in ("true", "false"):
            return Literal(self.take().text == "true", word.at)
        raise ExpressionError(f"a value is expected before {self.next.shown}", at=self.next.at)

    def _is_name(self) -> bool:
        return self.next.kind == "name" and self.next.text not in ("true", "false")

    def _check_arguments(self, word: Token, count: int) -> None:
        least, most = FUNCTIONS[word.text]
        if count < least or (most is not None and count > most):
            wanted = "one argument" if most == 1 else f"{least} arguments or more"
            raise ExpressionError(f"'{word.text}' takes {wanted}, not {count}", at=word.at)


def _negative(node: Node, *, at: int) -> Node:
    if isinstance(node, Literal) and is_number(node.value):
        return Literal(-node.value, at)
    return Call("negative", (node,), at)


def _number(word: Token) -> int | float:
    value = float(word.text)
    if math.isinf(value):
        raise ExpressionError(f"{word.text[:20]} is larger than any number", at=word.at)
    return int(word.text) if word.text.isdigit() and value <= 2**53 else value
