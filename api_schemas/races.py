"""The race at the end of a study: further seeds for the trials that may be the best. Schemas only."""

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.json_values import Number


class Race(Schema):
    """How much of a study's budget goes to its race; none with a share of 0.

    In a race each further seed of a trial costs one training, and the search has the rest of the budget.
    """

    share: Number = Field(default=0.25, ge=0.0, le=0.5)


class Dropped(Schema):
    """A trial that left a race, after which round, and why."""

    trial_id: str
    number: int
    round: int
    reason: str


class RaceProgress(Schema):
    """Where a race stands: the trials that are still in it, and the trainings that it has had.

    A study that is extended searches on and races anew; `rounds` and `trainings` go on counting then.
    `search_ended` says why a search ended before its part of the budget was spent.
    """

    rounds: int = 0
    trainings: int = 0
    racers: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    search_ended: str | None = None
    is_over: bool = False
