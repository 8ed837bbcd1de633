"""Schemas as tables."""

from typing import Any

import pytest

from tools.documentation.schemas import bounds, cell, reached, section, type_words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, "integer"),
        ({"$ref": "#/$defs/Budget"}, "[Budget](#budget)"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"enum": ["a", "b"]}, '`"a"`, `"b"`'),
        ({"const": 1}, "`1`"),
        ({"type": "array", "items": {"type": "number"}}, "list of number"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({}, "any value"),
    ],
)
def test_a_type_is_said_in_words(schema: dict[str, Any], words: str) -> None:
    """With links to the schemas of the page."""
    assert type_words(schema) == words


def test_long_lists_are_cut() -> None:
    """The first values say what the others are like."""
    assert type_words({"enum": list(range(100))}).endswith("`23`, ...")


def test_limits_of_the_one_alternative_count() -> None:
    """A field that may be null has the limits of its value."""
    assert (
        bounds({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]}) == "≥ 1, ≤ 9"
    )


def test_a_bar_does_not_end_a_cell() -> None:
    """Nor does a line break."""
    assert cell("a | b\n  c") == "a \\| b c"


def test_schemas_are_followed_once() -> None:
    """Also where they lead back."""
    components = {"A": {"properties": {"b": {"$ref": "#/B"}}}, "B": {"items": {"$ref": "#/A"}}, "C": {}}
    assert reached({"$ref": "#/A"}, components) == ["A", "B"]


def test_a_section_has_a_row_for_each_field() -> None:
    """Required ones say so, others have their default."""
    schema = {
        "description": "What it is.",
        "required": ["a"],
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "integer", "default": 3, "description": "how many"},
        },
    }
    assert section("Thing", schema) == [
        "## Thing", "", "What it is.", "",
        "| field | value | otherwise | |", "| --- | --- | --- | --- |",
        "| `a` | string | required |  |", "| `b` | integer | `3` | how many |", "",
    ]  # fmt: skip
