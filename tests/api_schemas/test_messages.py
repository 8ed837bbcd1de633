"""What a schema says of a wrong value is said in words of the contract."""

import importlib
import pkgutil
from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import api_schemas
from api_schemas.ask_and_tell import SuggestRequest
from api_schemas.base import Schema
from api_schemas.json_values import written
from api_schemas.studies import StudyCreate
from api_schemas.study_changes import StudyExtension, StudyUpdate


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


POSTED = (StudyCreate, StudyUpdate, StudyExtension, SuggestRequest)


def numbers_of(schema: type[Schema], seen: set[type[Schema]]) -> Iterator[tuple[type[Schema], str, type]]:
    """Every field of a message, and of those in it, that is a number or a list of some."""
    seen.add(schema)
    for name, field in schema.model_fields.items():
        parts = list(parts_of(field.annotation))
        yield from ((schema, name, kind) for kind in (int, float) if kind in parts and bool not in parts)
        for part in parts:
            if isinstance(part, type) and issubclass(part, Schema) and part not in seen:
                yield from numbers_of(part, seen)


def parts_of(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from parts_of(part)


NUMBERS = [found for schema in POSTED for found in numbers_of(schema, set())]


def test_every_message_that_is_posted_is_walked() -> None:
    """Settings of the study, of its base configuration, and of what is asked for."""
    names = {f"{schema.__name__}.{name}" for schema, name, _ in NUMBERS}
    assert names > {
        "Budget.trials",
        "Training.epochs",
        "Lora.rank",
        "SuggestRequest.count",
        "Objective.reference",
    }


@pytest.mark.parametrize(
    ("schema", "name"), sorted({found[:2] for found in NUMBERS}, key=str), ids=lambda part: str(part)
)
def test_a_text_or_true_is_no_number_anywhere(schema: type[Schema], name: str) -> None:
    """And 1.0 is an integer: no error is about its type."""
    key = schema.model_fields[name].alias or name
    for value in ("3", True):
        for posted in (value, [value]):
            with pytest.raises(ValidationError) as refused:
                schema.model_validate({key: posted})
            assert any(item["loc"][0] == key for item in refused.value.errors())
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({key: 1.0, "no_such_key": None})
    assert not any(
        item["loc"] == (key,) and item["type"].startswith("int") for item in refused.value.errors()
    )
