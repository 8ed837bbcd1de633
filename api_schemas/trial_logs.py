"""The log of a trial: the last lines of each of its attempts."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api_schemas.ask_and_tell import Attempt
from api_schemas.base import Schema
from api_schemas.json_values import Integer

LONGEST_LOG = 65_536
"""Characters of a log that are taken at once; of these the last lines are kept."""
MOST_ATTEMPTS = 20
"""So many of a trial's last attempts have a log."""


class LogReport(Schema):
    """The last lines of a running attempt so far, in place of what it sent before.

    `omitted_lines` is how many lines there were before the first one of `text`.
    """

    attempt: Attempt
    text: Annotated[str, Field(max_length=LONGEST_LOG)]
    omitted_lines: Integer = Field(default=0, ge=0, le=2**31 - 1)


class AttemptLogRead(Schema):
    """The last lines of an attempt: at most 200, and 16 KiB. `omitted_lines` came before them.

    Keys, passwords, signed addresses and addresses of databases are replaced by `[redacted]`.
    """

    attempt: int
    replicate: int
    text: str
    omitted_lines: int
    recorded_at: datetime


class TrialLogs(Schema):
    """The logs of a trial's attempts, in order; an attempt that has sent no line has none."""

    study_id: str
    trial_id: str
    number: int
    logs: tuple[AttemptLogRead, ...]
