"""Every attempt of a study's trials: which worker ran it, when, and how it ended."""

from datetime import datetime

from api_schemas.base import Schema


class RunColumns(Schema):
    """Attempts in the order in which they began, as columns: the values at one position are of one attempt.

    `outcomes` are states of trials, or REQUEUED where the attempt was given back or lost and the trial waited
    for another; RUNNING ones have no end. Imported and reused results were run by nobody here.
    """

    study_id: str
    trial_ids: tuple[str, ...]
    numbers: tuple[int, ...]
    replicates: tuple[int, ...]
    attempts: tuple[int, ...]
    workers: tuple[str, ...]
    outcomes: tuple[str, ...]
    reasons: tuple[str | None, ...]
    started_at: tuple[datetime, ...]
    ended_at: tuple[datetime | None, ...]
