"""The attempts of a study's trials, put together from its log. Reads; changes nothing."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.runs import RunColumns
from service.storage.event_log import run_events
from service.storage.models import Study

REQUEUED = "REQUEUED"
RUNNING = "RUNNING"
COLUMNS = tuple(name for name in RunColumns.model_fields if name != "study_id")


def run_columns(session: Session, study: Study) -> RunColumns:
    """Return every attempt of a study, in the order in which they began."""
    runs = _runs(run_events(session, study.id))
    columns = {name: [run[name] for run in runs] for name in COLUMNS}
    return RunColumns.model_validate({"study_id": study.id, **columns})


def _runs(events: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    runs: dict[tuple[str, int], dict[str, Any]] = {}
    for event in events:
        key = (event.trial_id, event.attempt)
        if event.type == EventType.TRIAL_STARTED:
            runs[key] = {
                "trial_ids": event.trial_id,
                "numbers": event.number,
                "replicates": event.body["replicate"],
                "attempts": event.attempt,
                "workers": event.body["worker"],
                "started_at": event.recorded_at,
            } | _ended(RUNNING)
        elif key not in runs:
            continue  # dropped before anybody took it, or a result that was taken over
        elif event.type == EventType.TRIAL_RESUMED:
            runs[key] |= _ended(RUNNING)
        elif event.type == EventType.TRIAL_REQUEUED:
            runs[key] |= _ended(REQUEUED, event.body["reason"], event.recorded_at)
        # A cancelled seed that had been given back before ended with its last attempt, not later.
        elif runs[key]["ended_at"] is None:
            runs[key] |= _ended(event.body["state"], event.body["reason"], event.recorded_at)
    return list(runs.values())


def _ended(outcome: str, reason: str | None = None, moment: Any = None) -> dict[str, Any]:
    return {"outcomes": outcome, "reasons": reason, "ended_at": moment}
