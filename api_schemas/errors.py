"""The body of every API error: `application/problem+json` (RFC 9457)."""

from api_schemas.base import Schema

MOST_ERRORS = 100
"""Named in one answer; the next ones show once these are corrected."""


class FieldError(Schema):
    """One thing wrong with the request. `pointer` is a JSON pointer (RFC 6901) into its body."""

    pointer: str
    detail: str


class Problem(Schema):
    """What went wrong and what to do next."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
