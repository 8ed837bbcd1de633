"""The base of every schema: frozen, strict about unknown fields, finite numbers only."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, GetPydanticSchema
from pydantic_core import core_schema

WITHOUT_NUL = r"^[^\x00]*$"
"""Text that a database can hold."""


class Schema(BaseModel):
    """An immutable message. NaN and infinity never enter or leave."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", from_attributes=True, allow_inf_nan=False, protected_namespaces=()
    )


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
