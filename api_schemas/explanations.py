"""Messages for the author of a document: what is wrong, and where. Knows JSON Schema only."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from api_schemas.base import WITHOUT_NUL
from api_schemas.near_names import did_you_mean, meant, quoted

Step = str | int
JsonSchema = Mapping[str, Any]

DEEPEST_HOME = 2
AFTERWARDS = " after validation"
NO_LIST = frozenset({"tuple_type", "list_type"})
NO_OBJECT = frozenset({"model_type", "model_attributes_type", "dict_type"})


def explained(item: Mapping[str, Any], schema: JsonSchema) -> str:
    """Return one of pydantic's errors in words: near names for unknown keys, examples for patterns.

    Args:
        item: The error, with its location in the document.
        schema: The JSON Schema of the document, with what it refers to.
    """
    steps = tuple(item["loc"])
    if item["type"] == "extra_forbidden":
        return _unknown_key(str(steps[-1]), schema, steps[:-1])
    if item["type"] == "union_tag_invalid":
        expected = list(map(_bare, item["ctx"]["expected_tags"].split(",")))
        return (
            f"There is no {_bare(item['ctx']['discriminator'])} {quoted(str(item['ctx']['tag']))}. "
            + did_you_mean(str(item["ctx"]["tag"]), expected)
        )
    if item["type"] == "union_tag_not_found":
        return f"It must say its '{_bare(item['ctx']['discriminator'])}'."
    if item["type"] == "string_pattern_mismatch":
        return _form(item, schema, steps)
    if item["type"] in NO_OBJECT:
        keys = legal_keys(schema, steps)
        shown = ", ".join(keys[:6]) + (", ..." if len(keys) > 6 else "")
        return f"This must be an object{f' with keys such as {shown}' if keys else ''}."
    if item["type"] in NO_LIST:
        return "This must be a list."
    if item["type"] == "string_type" and isinstance(item.get("input"), bool | int | float | date):
        return "This must be a text. Put it in quotes."
    # Which kind of list Python has is an internal matter.
    return str(item["msg"]).removeprefix("Value error, ").replace("Tuple", "List").replace(AFTERWARDS, "")


def place_in(document: object, item: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return where an error lies in a document: pydantic's location without the branches of unions.

    A key that is missing is part of it.
    """
    *steps, last = (*item["loc"],) or ("",)
    found: list[Step] = []
    for step in steps:
        inner = _inner(document, step)
        if inner:
            document = inner[0]
            found.append(step)
    if item["loc"] and (_inner(document, last) or item["type"] == "missing"):
        found.append(last)
    pointer = item.get("ctx", {}).get("pointer")
    return (*found, *(pointer.split("/") if pointer else ()))


def pointer_of(steps: Sequence[Step]) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def causes(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return errors without those that follow from others: a list is too short for what was wrong in it."""
    return [
        item
        for item in items
        if item["type"] != "too_short"
        or not any(
            len(other["loc"]) > (depth := len(item["loc"])) and other["loc"][:depth] == item["loc"]
            for other in items
        )
    ]


def legal_keys(schema: JsonSchema, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the keys that an object at a place may have, as its schema orders them."""
    found = (
        name for place in schemas_at(schema, schema, tuple(steps)) for name in place.get("properties", {})
    )
    return tuple(dict.fromkeys(found))


def schemas_at(schema: JsonSchema, root: JsonSchema, steps: tuple[Step, ...]) -> Iterator[JsonSchema]:
    """Yield every schema that a place may have; steps that are branches of unions are passed over."""
    branches = list(_branches(schema, root))
    if not steps:
        yield from branches
        return
    step, rest = steps[0], steps[1:]
    tagged = [
        tags[step]
        for branch in branches
        if isinstance(step, str) and step in (tags := branch.get("discriminator", {}).get("mapping", {}))
    ]
    if tagged:
        for reference in tagged:
            yield from schemas_at({"$ref": reference}, root, rest)
        return
    inner = [part for branch in branches for part in _parts(branch, step)]
    for part in inner or [schema]:
        yield from schemas_at(part, root, rest)


def _branches(schema: JsonSchema, root: JsonSchema) -> Iterator[JsonSchema]:
    """Yield a schema with what it refers to, and what it may be instead."""
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    yield schema
    for kind in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(kind, ()):
            yield from _branches(branch, root)


def _parts(schema: JsonSchema, step: Step) -> Iterator[JsonSchema]:
    if isinstance(step, int):
        prefix = schema.get("prefixItems", ())
        if step < len(prefix):
            yield prefix[step]
        elif isinstance(schema.get("items"), Mapping):
            yield schema["items"]
    elif step in schema.get("properties", {}):
        yield schema["properties"][step]
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield schema["additionalProperties"]


def _unknown_key(key: str, schema: JsonSchema, steps: tuple[Step, ...]) -> str:
    keys = legal_keys(schema, steps)
    if not meant(key, keys) and (home := _home_of(key, schema)):
        return f"There is no {quoted(key)} here. It belongs to {quoted(home)}."
    return f"There is no {quoted(key)} here. {did_you_mean(key, keys)}"


def _home_of(key: str, schema: JsonSchema) -> str:
    """Return the path of the object that has a key, the nearest to the top; nothing if none has."""
    level: list[tuple[Step, ...]] = [()]
    for _ in range(DEEPEST_HOME):
        level = [(*steps, name) for steps in level for name in legal_keys(schema, steps)]
        for steps in level:
            if key in legal_keys(schema, steps):
                return ".".join(map(str, steps))
    return ""


def _form(item: Mapping[str, Any], schema: JsonSchema, steps: tuple[Step, ...]) -> str:
    """Return an example of the pattern, so that no user has to read a regular expression."""
    if item.get("ctx", {}).get("pattern") == WITHOUT_NUL:
        return "The text has a NUL character, which no database holds. Leave it out."
    examples = [
        str(text) for place in schemas_at(schema, schema, steps) for text in place.get("examples", ())
    ]
    written = quoted(str(item.get("input", "")))
    if not examples:
        return str(item["msg"])
    return (
        f"{written} is not written as it must be, as in {' or '.join(dict.fromkeys(map(quoted, examples)))}."
    )


def _inner(document: object, step: Step) -> list[object]:
    """Return what lies in a document under a step, if anything does."""
    if isinstance(document, Mapping):
        return [document[step]] if step in document else []
    if isinstance(document, list | tuple) and isinstance(step, int) and 0 <= step < len(document):
        return [document[step]]
    return []


def _bare(quoted_by_pydantic: str) -> str:
    return quoted_by_pydantic.strip(" '")
