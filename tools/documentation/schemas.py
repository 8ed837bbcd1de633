"""JSON schemas as tables of a page: what a field is, what it may be, what it is without a value.

Knows nothing of where a schema comes from.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters or fewer",
    "minItems": "{} entries or more",
    "maxItems": "{} entries or fewer",
}
LONGEST_LIST = 24
"""Values that are named one by one; of a longer list, the first of them."""


def anchor(name: str) -> str:
    """Return the anchor of a heading of one word, as the site makes it."""
    return name.lower()


def cell(text: str) -> str:
    """Return a text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(value: object) -> str:
    """Return a value as JSON, set as code."""
    return f"`{cell(json.dumps(value, ensure_ascii=False))}`"


def referred(schema: Schema) -> str | None:
    """Return the name of the schema that is referred to, if one is."""
    target = schema.get("$ref")
    return None if target is None else str(target).rsplit("/", 1)[-1]


def type_words(schema: Schema) -> str:
    """Return what a value may be, with links to the schemas of the page."""
    name = referred(schema)
    if name is not None:
        return f"[{name}](#{anchor(name)})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_words(option) for option in schema[key]))
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        named = ", ".join(code(value) for value in schema["enum"][:LONGEST_LIST])
        return named + (", ..." if len(schema["enum"]) > LONGEST_LIST else "")
    kind = str(schema.get("type", "any value"))
    if kind == "array":
        return f"list of {type_words(schema.get('items') or {})}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {type_words(schema['additionalProperties'])}"
    return kind


def bounds(schema: Schema) -> str:
    """Return the limits of a value, those of its one alternative among them."""
    own = [words.format(schema[key]) for key, words in BOUNDS.items() if key in schema]
    return ", ".join(own or [limit for option in schema.get("anyOf", ()) if (limit := bounds(option))])


def field_rows(schema: Schema) -> Iterator[str]:
    """Return a row of the table for each field."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else code(field["default"]) if "default" in field else ""
        limits = bounds(field)
        kind = type_words(field) + (f", {limits}" if limits else "")
        yield f"| `{name}` | {kind} | {default} | {cell(field.get('description', ''))} |"


def section(name: str, schema: Schema, *, level: int = 2) -> list[str]:
    """Return the heading, the description and the fields of a schema."""
    lines = [f"{'#' * level} {name}", ""]
    if "description" in schema:
        lines += [str(schema["description"]), ""]
    rows = list(field_rows(schema))
    if rows:
        lines += ["| field | value | otherwise | |", "| --- | --- | --- | --- |", *rows, ""]
    else:
        lines += [f"One of: {type_words(schema)}" if "enum" in schema else type_words(schema), ""]
    return lines


def reached(schema: Schema, components: Mapping[str, Schema]) -> list[str]:
    """Return the names of the schemas that a schema leads to, nearest first."""
    found: list[str] = []
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, Mapping):
            name = referred(part)
            if name is not None and name not in found:
                found.append(name)
                waiting.append(components[name])
            waiting.extend(part.values())
        elif isinstance(part, Sequence) and not isinstance(part, str):
            waiting.extend(part)
    return found
