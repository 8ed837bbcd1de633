"""What all tables have in common: names of constraints, types of columns, states as text."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TIMESTAMP

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Constraint names by rule, JSON as JSONB, times with a zone."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own hook
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
        datetime: TIMESTAMP(timezone=True),
    }


# Times that the database sets come back with the write, for rows that are shown after it.
READ_BACK = {"eager_defaults": True}


def text_of(members: type[StrEnum]) -> Enum:
    """Return the type of a column that has one of the values, kept as text."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=20,
        values_callable=lambda enumeration: [member.value for member in enumeration],
    )


def one_of(column: str, states: type[StrEnum]) -> str:
    """Return the condition that a column has one of the values."""
    return f"{column} IN ({', '.join(repr(state.value) for state in states)})"
