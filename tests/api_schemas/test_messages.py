"""What a schema says of a wrong value is said in words of the contract."""

import importlib
import pkgutil
from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import Any

import pytest

import api_schemas
from api_schemas.base import Schema
from api_schemas.json_values import written


def schemas(base: type[Schema] = Schema) -> Iterator[type[Schema]]:
    for schema in base.__subclasses__():
        yield schema
        yield from schemas(schema)


for module in pkgutil.iter_modules(api_schemas.__path__):
    importlib.import_module(f"api_schemas.{module.name}")


def literals(node: Any) -> Iterator[Any]:
    """Every value that a part of a schema compares with."""
    if isinstance(node, dict):
        if node.get("type") == "literal":
            yield from node["expected"]
        for part in node.values():
            yield from literals(part)
    elif isinstance(node, list | tuple):
        for part in node:
            yield from literals(part)


@pytest.mark.parametrize("schema", list(schemas()), ids=lambda schema: schema.__name__)
def test_no_field_is_a_literal_of_enumeration_members(schema: type[Schema]) -> None:
    """Its error would show `<TrialState.SUCCEEDED: 'SUCCEEDED'>`; `one_of` shows `'SUCCEEDED'`."""
    assert not [value for value in literals(schema.__pydantic_core_schema__) if isinstance(value, Enum)]


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (None, "null"), (1.5, "1.5"), (Colour.RED, "'red'"), ([1], "[1]")]
)
def test_a_value_is_shown_as_it_was_posted(value: object, text: str) -> None:
    """And not as Python writes it."""
    assert written(value) == text
