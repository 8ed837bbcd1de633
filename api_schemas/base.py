"""The base of every schema: frozen, strict about unknown fields, finite numbers only."""

from pydantic import BaseModel, ConfigDict

WITHOUT_NUL = r"^[^\x00]*$"
"""Text that a database can hold."""


class Schema(BaseModel):
    """An immutable message. NaN and infinity never enter or leave."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", from_attributes=True, allow_inf_nan=False, protected_namespaces=()
    )
