"""Trials as rows of what a list shows: no objects are made of them, for a study may have thousands."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Row, String, any_, case, literal, select
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.storage.models import Event, Replicate, Trial, TrialMeasurement

WITHOUT_METRICS = (TrialState.QUEUED, TrialState.RUNNING, TrialState.INFEASIBLE)

SHOWN = (
    Trial.id,
    Trial.number,
    Trial.state,
    Trial.state_reason,
    Trial.generated_by,
    Trial.started_at,
    Trial.finished_at,
    Trial.parameters,
    Trial.metrics,
    Trial.metric_standard_errors,
    Trial.test_metrics,
    Trial.test_metric_standard_errors,
    Trial.configuration["peft"].as_string().label("peft"),
    Trial.configuration["architecture"].as_string().label("architecture"),
    case((Trial.state.in_(WITHOUT_METRICS), Trial.explanation["predictions"])).label("predictions"),
)


def trial_rows(session: Session, study_id: str, *, changed_after: int) -> Sequence[Row[Any]]:
    """Read trials by number without making objects of them: those that an event after a number has changed.

    `peft` and `architecture` are those parts of a configuration as text, or null; `predictions` are what was
    expected of one that has no metrics, or null.
    """
    query = select(*SHOWN).where(Trial.study_id == study_id)
    if changed_after:
        changed = select(Event.trial_id).where(Event.study_id == study_id, Event.sequence > changed_after)
        query = query.where(Trial.id.in_(changed))
    return session.execute(query.order_by(Trial.number)).all()


def seed_rows(session: Session, trial_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Read the seeds of trials in order, with the last measurement of each first one that runs, or null."""
    latest = (
        select(TrialMeasurement.step, TrialMeasurement.metrics)
        .where(TrialMeasurement.trial_id == Replicate.trial_id, TrialMeasurement.attempt == Replicate.attempt)
        .order_by(TrialMeasurement.step.desc())
        .limit(1)
        .lateral("latest")
    )
    runs_first = (Replicate.number == 0) & (Replicate.state == TrialState.RUNNING)
    query = (
        select(
            Replicate.trial_id,
            Replicate.state,
            Replicate.metrics,
            latest.c.step,
            latest.c.metrics.label("measured"),
        )
        .outerjoin(latest, runs_first)
        .where(Replicate.trial_id == any_(literal(list(trial_ids), ARRAY(String))))
        .order_by(Replicate.trial_id, Replicate.number)
    )
    return session.execute(query).all()
