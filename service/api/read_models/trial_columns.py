"""A study's trials as columns, all of them or those that an event has changed. Reads; changes nothing."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from api_schemas.architecture import Architecture
from api_schemas.peft.description import describe_parts
from api_schemas.peft.registry import Peft
from api_schemas.trial_columns import TrialColumns
from api_schemas.trials import TERMINAL_TRIAL_STATES
from service.api.read_models.progress import trial_progress
from service.storage.models import Study
from service.storage.trial_rows import trial_rows

DESCRIBED = 20_000
"""Configurations whose description is kept: to describe one takes longer than to read its trial."""
NAMED = ("parameters", "metrics", "metric_standard_errors", "test_metrics", "test_metric_standard_errors")


def trial_columns(session: Session, study: Study, *, changed_after: int) -> TrialColumns:
    """Return the trials of a study that have changed since one of its events; after 0, all of them."""
    rows = trial_rows(session, study.id, changed_after=changed_after)
    described = [("", False) if row.peft is None else _described(row.peft, row.architecture) for row in rows]
    unfinished = [row.id for row in rows if row.state not in TERMINAL_TRIAL_STATES]
    columns = {name: _by_name([getattr(row, name) for row in rows]) for name in NAMED}
    # Validated as a whole: each value by itself would take several times as long.
    return TrialColumns.model_validate(
        {
            "study_id": study.id,
            "sequence": study.event_sequence,
            "ids": [row.id for row in rows],
            "numbers": [row.number for row in rows],
            "states": [row.state for row in rows],
            "state_reasons": [row.state_reason for row in rows],
            "generated_by": [row.generated_by for row in rows],
            "modules": [modules for modules, _ in described],
            "is_head_only": [is_head_only for _, is_head_only in described],
            "collapsed": [_is_collapsed(row) for row in rows],
            "started_at": [row.started_at for row in rows],
            "finished_at": [row.finished_at for row in rows],
            **columns,
            "expected": _by_name([_of_predictions(row, "mean") for row in rows]),
            "expected_deviations": _by_name([_of_predictions(row, "standard_deviation") for row in rows]),
            "progress": trial_progress(session, study, unfinished),
        }
    )


def _by_name(values: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    # In the order in which they first occur, which is that of the search space.
    names = dict.fromkeys(name for of_trial in values for name in of_trial)
    return {name: [of_trial.get(name) for of_trial in values] for name in names}


def _of_predictions(row: Row[Any], part: str) -> dict[str, float]:
    return {name: prediction[part] for name, prediction in (row.predictions or {}).items()}


def _is_collapsed(row: Row[Any]) -> bool:
    # The metric is a mean over replicates; in a custom study the name means nothing.
    return row.peft is not None and row.metrics.get("collapsed", 0.0) > 0


@lru_cache(maxsize=DESCRIBED)
def _described(peft: str, architecture: str | None) -> tuple[str, bool]:
    settings = Peft.model_validate_json(peft)
    kept = None if architecture is None else Architecture.model_validate_json(architecture)
    active = settings.active_layers
    return describe_parts(settings, kept), active is not None and not any(active)
