"""Scopes, and keys that make no sense."""

import pytest
from pydantic import ValidationError

from api_schemas.access import KeyCreate, KeyScope


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a\0b"},
        {"name": "a", "scope": "root"},
        {"name": "a", "expires_at": "2030-01-01T00:00:00"},
        {"name": "a", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "a", "expires_at": "9999-12-31T23:59:59-23:00"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(body: dict[str, str]) -> None:
    """Without a name, with a scope that nobody knows, with a time of no zone, past or of no calendar."""
    with pytest.raises(ValidationError):
        KeyCreate.model_validate(body)


def test_each_scope_includes_those_before_it() -> None:
    """Admin may write, write may read, and never the other way round."""
    includes = [[one.includes(other) for other in KeyScope] for one in KeyScope]
    assert includes == [[True, False, False], [True, True, False], [True, True, True]]
