"""Every size that a request can choose has a bound in its schema; documents tell those that people meet.

A schema without a bound is told with its name. What is bounded only by the bytes and the nesting of the body
is named here.
"""

import importlib
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import application

ROOT = Path(__file__).parents[2]
DOCUMENT = application().openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]
WITHIN_THE_BODY = {
    "JsonValue": "a value of a merge patch; what comes of it is bounded as a posted study is",
}
AS_DOUBLES = dict.fromkeys(
    (
        "CategoricalParameter.choices[]",
        "Condition.in[]",
        "FloatParameter.high",
        "FloatParameter.low",
        "FloatParameter.step",
        "ImportedObservation.parameters{}",
        "IntParameter.step",
        "OrdinalParameter.choices[]",
        "StudyCreate.starting_points[]{}",
    ),
    "a number of the search space language: any that is a double; its texts are bounded",
)
BY_VALIDATOR = {"Condition.in": "counted by the search space, which names the parameter"}
ENDLESS = re.compile(r"[*+]|,\}")
BOUNDED_FORMATS = ("date-time",)


def unbounded(schema: dict[str, Any], place: str, seen: set[str]) -> Iterator[str]:
    """Give the places below a schema whose size nothing bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            seen.add(name)
            yield from unbounded(SCHEMAS[name], name, seen)
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(kind, ()):
            yield from unbounded(inner, place, seen)
    if schema.get("type") in ("integer", "number") and place in AS_DOUBLES:
        return
    match schema.get("type"):
        case _ if "enum" in schema or "const" in schema:
            return
        case "string":
            if not is_bounded(schema):
                yield place
        case "integer" | "number":
            if not all({end, f"exclusive{end.title()}"} & schema.keys() for end in ("minimum", "maximum")):
                yield place
        case "array":
            if "maxItems" not in schema:
                yield place
            yield from unbounded(schema["items"], f"{place}[]", seen)
        case "object":
            yield from unbounded_object(schema, place, seen)
        case None if not {"anyOf", "oneOf", "allOf"} & schema.keys():
            yield place


def unbounded_object(schema: dict[str, Any], place: str, seen: set[str]) -> Iterator[str]:
    """Give the same for an object: named properties, or as many as `maxProperties` with bounded keys."""
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, f"{place}.{name}", seen)
    by_pattern = schema.get("patternProperties", {})
    rest = schema.get("additionalProperties", not by_pattern)
    if (by_pattern or rest) and "maxProperties" not in schema:
        yield place
    if rest and "propertyNames" not in schema:
        yield place
    others = [*by_pattern.values(), *([rest] if isinstance(rest, dict) else [])]
    for inner in others:
        yield from unbounded(inner, f"{place}{{}}", seen)


def is_bounded(text: dict[str, Any]) -> bool:
    """Say whether a text can only be so long."""
    if "maxLength" in text or text.get("format") in BOUNDED_FORMATS:
        return True
    return "pattern" in text and ENDLESS.search(text["pattern"]) is None


def chosen_by_requests() -> Iterator[tuple[dict[str, Any], str]]:
    """Give each schema of a JSON body and of a parameter of a query."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield content["application/json"]["schema"], f"{method} {path}"
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    yield parameter["schema"], f"{method} {path}?{parameter['name']}"


def test_every_size_that_a_request_can_choose_is_bounded() -> None:
    """Every string, list, object and number of every body and query."""
    seen: set[str] = set()
    found = {place for schema, place in chosen_by_requests() for place in unbounded(schema, place, seen)}
    assert found - BY_VALIDATOR.keys() - WITHIN_THE_BODY.keys() == set()
    assert len(seen) > 30


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "pattern": "^a*$"},
        {"type": "array", "items": {"type": "boolean"}},
        {"type": "array", "maxItems": 1, "items": {"type": "integer"}},
        {"type": "integer", "minimum": 0},
        {"type": "number", "maximum": 0},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 3},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {},
    ],
)
def test_what_has_no_bound_is_found(schema: dict[str, Any]) -> None:
    """The walk itself does not pass over anything."""
    assert list(unbounded(schema, "here", set()))


def documented_limits() -> list[tuple[str, int, str]]:
    """Read the table of docs/http.md: what, how much, and where it is said."""
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8").partition("## Limits of sizes")[2]
    rows = [
        line.strip("| ").split(" | ")
        for line in text.partition("\n## ")[0].splitlines()
        if line.endswith("` |")
    ]
    return [(what, int(limit.replace(",", "")), where.strip("`")) for what, limit, where, *_ in rows]


@pytest.mark.parametrize(("what", "limit", "where"), documented_limits())
def test_documented_limits_are_the_ones_that_hold(what: str, limit: int, where: str) -> None:
    """As a place in openapi.json, or as a constant of a module."""
    place, _, keyword = where.partition(" ")
    if not keyword:
        module, _, name = place.rpartition(".")
        assert limit == getattr(importlib.import_module(module), name), what
        return
    schema, *fields = place.split(".")
    found = reduce(lambda inner, field: inner["properties"][field], fields, SCHEMAS[schema])
    choices = [found, *found.get("anyOf", ())]
    assert limit in [choice.get(keyword) for choice in choices], what
