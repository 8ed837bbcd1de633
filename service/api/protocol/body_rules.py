"""What no request may contain, whatever its schema: text that cannot be stored or sent, and deep nesting.

Half a surrogate pair is no character, so no answer, file or database takes it; Postgres takes no NUL. Both
are refused here, for every key and value of every body and query, so that no schema has to.
"""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from api_schemas.errors import FieldError
from service.errors import InvalidRequest, MalformedJson

MOST_NESTED = 64
"""How many objects and lists may lie within each other: no schema needs a dozen."""
MOST_NAMED = 20
"""How many faults an answer names."""

Place = tuple[str | int, ...]


async def refuse_unusable_text(request: Request) -> None:
    """Refuse a query or a JSON body with text that is none, or nested too deeply.

    Raises:
        MalformedJson: If the body is not UTF-8.
        InvalidRequest: If it holds such text or nesting; `errors` says where.
    """
    faults = [*_faults_of_query(request)]
    if request.method in ("POST", "PATCH"):
        faults += faults_of_body(await request.body())
    if faults:
        raise InvalidRequest(
            "A text holds what is no character, or the body is nested too deeply; `errors` says where.",
            errors=faults[:MOST_NAMED],
        )


def faults_of_body(content: bytes) -> list[FieldError]:
    """Find what no JSON body may hold. What is no JSON at all is left to its parser.

    Raises:
        MalformedJson: If it is not UTF-8.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise MalformedJson("The body must be one JSON value in UTF-8.") from error
    if "\0" in text:
        raise MalformedJson("The body holds a NUL byte, which JSON in UTF-8 never does.")
    # Only an escape can bring such text, and only many brackets such depth: most bodies need no look.
    if "\\u" not in text and text.count("[") + text.count("{") <= MOST_NESTED:
        return []
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return list(_faults(body))


def _faults_of_query(request: Request) -> Iterator[FieldError]:
    for name, value in request.query_params.multi_items():
        reason = _reason(name) or _reason(value)
        if reason is not None:
            yield FieldError(pointer=f"query:{_pointer((name,))}", detail=reason)


def _faults(body: Any) -> Iterator[FieldError]:
    waiting: list[tuple[Place, Any]] = [((), body)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str) and (reason := _reason(value)) is not None:
            yield FieldError(pointer=_pointer(place), detail=reason)
        elif isinstance(value, dict | list):
            if len(place) >= MOST_NESTED:
                detail = (
                    f"objects and lists may lie {MOST_NESTED} deep within each other, and these lie deeper"
                )
                yield FieldError(pointer=_pointer(place), detail=detail)
                return
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*place, step), item) for step, item in items]
            for key in value if isinstance(value, dict) else ():
                if (reason := _reason(key)) is not None:
                    yield FieldError(pointer=_pointer((*place, key)), detail=f"the key: {reason}")


def _reason(text: str) -> str | None:
    if "\0" in text:
        return "a text must not hold a NUL character"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text must not hold half a surrogate pair, which is no character; write the whole pair"
    return None


def _pointer(place: Place) -> str:
    steps = (str(step).encode(errors="backslashreplace").decode() for step in place)
    return "".join("/" + step.replace("\0", "\\x00").replace("~", "~0").replace("/", "~1") for step in steps)
