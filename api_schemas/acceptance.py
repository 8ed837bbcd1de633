"""Taking one trial of a study: which, why, and by whom."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api_schemas.base import WITHOUT_NUL, Schema

Reason = Annotated[str, Field(max_length=2000, pattern=WITHOUT_NUL)]


class Acceptance(Schema):
    """The trial that somebody decides for. A later one takes the place of an earlier."""

    trial_id: Annotated[str, Field(max_length=100, pattern=WITHOUT_NUL, examples=[f"trl_{'0' * 32}"])]
    reason: Reason = ""


class AcceptedTrial(Schema):
    """The last decision. `accepted_by` is the name of the key that it came with."""

    trial_id: str
    number: int
    reason: str
    key_id: str | None
    accepted_by: str | None
    accepted_at: datetime
