"""The base of every schema: frozen, strict about unknown fields, finite numbers only."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, GetPydanticSchema
from pydantic_core import core_schema

WITHOUT_NUL = r"^[^\x00]*$"
"""Text that a database can hold."""


class Schema(BaseModel):
    """An immutable message. NaN and infinity never enter or leave."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", from_attributes=True, allow_inf_nan=False, protected_namespaces=()
    )

    @classmethod
    def copied_from(cls, source: object, **others: object) -> Self:
        """Return a message with the attributes of a source that are named as its fields, and the others."""
        # By name: validating a row by its attributes takes several times as long.
        same = {name: getattr(source, name) for name in cls.model_fields.keys() - others.keys()}
        return cls.model_validate({**same, **others})


def one_of(*members: StrEnum) -> GetPydanticSchema:
    """Return the annotation of a field that takes these members of an enumeration only.

    A `Literal` of members would take the same, and name them in its error as Python writes them.
    """
    values = [member.value for member in members]
    return GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_after_validator_function(
            type(members[0]), core_schema.literal_schema(values)
        )
    )
