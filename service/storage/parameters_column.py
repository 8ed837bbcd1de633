"""The column type of a trial's parameters: what is read is what was written."""

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from api_schemas.json_values import read_back


class Parameters(TypeDecorator[dict[str, Any]]):
    """The parameters of a trial as JSON: what is read is what was written, doubles beyond 2**53 too."""

    impl = JSONB
    cache_ok = True

    def process_result_value(
        self,
        value: dict[str, Any] | None,
        dialect: Dialect,  # noqa: ARG002  SQLAlchemy's signature
    ) -> dict[str, Any] | None:
        """Return parameters as they were written."""
        return None if value is None else read_back(value)
