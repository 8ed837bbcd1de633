"""What the trials of a study that succeeded measured, without the rest of their wide rows. Reads only."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json
from sqlalchemy import Label, String, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from api_schemas.events import EventType
from api_schemas.trials import TrialState
from service.storage.models import Event, StoredFront, Study, Trial


class Result(NamedTuple):
    """What a trial that succeeded measured, without the rest of its wide row."""

    trial_id: str
    number: int
    metrics: dict[str, float]
    metric_standard_errors: dict[str, float]


class ResultColumns(NamedTuple):
    """The results of many trials, one array for each metric; NaN where a trial lacks the metric."""

    trial_ids: Sequence[str]
    numbers: Sequence[int]
    has_one_seed: NDArray[np.bool_]
    values: Mapping[str, NDArray[np.float64]]
    standard_errors: Mapping[str, NDArray[np.float64]]

    def where(self, kept: NDArray[np.bool_]) -> "ResultColumns":
        """Return the columns of some of the trials."""
        rows = [int(row) for row in np.flatnonzero(kept)]
        return ResultColumns(
            trial_ids=[self.trial_ids[row] for row in rows],
            numbers=[self.numbers[row] for row in rows],
            has_one_seed=self.has_one_seed[kept],
            values={name: column[kept] for name, column in self.values.items()},
            standard_errors={name: column[kept] for name, column in self.standard_errors.items()},
        )


def results_of(session: Session, study_id: str) -> list[Result]:
    """Read what the trials of a study that succeeded measured, by number."""
    rows = session.execute(
        select(Trial.id, Trial.number, Trial.metrics, Trial.metric_standard_errors)
        .where(Trial.study_id == study_id, Trial.state == TrialState.SUCCEEDED)
        .order_by(Trial.number)
    )
    return [Result(*row) for row in rows]


def members_of_front(session: Session, study: Study) -> list[Result]:
    """Read what the members of a study's last front measured, by number."""
    last = (StoredFront.study_id == study.id) & (StoredFront.sequence == study.front_sequence)
    ids = select(func.jsonb_array_elements_text(StoredFront.member_trial_ids)).where(last)
    rows = session.execute(
        select(Trial.id, Trial.number, Trial.metrics, Trial.metric_standard_errors)
        .where(Trial.id.in_(ids))
        .order_by(Trial.number)
    )
    return [Result(*row) for row in rows]


def results_before_reference(session: Session, study_id: str) -> frozenset[str]:
    """Return the ids of the trials that had been accepted when the reference point was settled."""
    first = (
        select(StoredFront.sequence)
        .where(StoredFront.study_id == study_id, StoredFront.reference_point.is_not(None))
        .order_by(StoredFront.sequence)
        .limit(1)
        .scalar_subquery()
    )
    stored = select(Event.sequence).where(
        Event.study_id == study_id,
        Event.type == EventType.FRONT_STORED,
        Event.body["sequence"].as_integer() == first,
    )
    accepted = Event.type.in_((EventType.TRIAL_SUCCEEDED, EventType.TRIAL_IMPORTED))
    found = session.scalars(
        select(Event.trial_id).where(
            Event.study_id == study_id, accepted, Event.sequence < stored.scalar_subquery()
        )
    )
    return frozenset(filter(None, found))


def result_columns(session: Session, study_id: str, metrics: Sequence[str]) -> ResultColumns:
    """Read some metrics of the trials of a study that succeeded, by number."""
    # Postgres extracts the numbers and returns each column as one text: parsing all metrics, or making a
    # row of each trial, would take most of the time.
    by_number = (
        select(
            Trial.id,
            cast(Trial.number, String).label("number"),
            cast(Trial.metric_standard_errors == {}, String).label("has_one_seed"),
            *(_number_in(Trial.metrics, name, f"value_{place}") for place, name in enumerate(metrics)),
            *(
                _number_in(Trial.metric_standard_errors, name, f"standard_error_{place}")
                for place, name in enumerate(metrics)
            ),
        )
        .where(Trial.study_id == study_id, Trial.state == TrialState.SUCCEEDED)
        .order_by(Trial.number)
        .subquery()
    )
    texts = session.execute(select(*(func.string_agg(column, ",") for column in by_number.c))).one()
    trial_ids, *columns = (text or "" for text in texts)
    numbers, single, *arrays = (from_json(f"[{column}]") for column in columns)
    arrays = [np.array(array, dtype=np.float64) for array in arrays]
    return ResultColumns(
        trial_ids=trial_ids.split(",") if trial_ids else [],
        numbers=numbers,
        has_one_seed=np.array(single, dtype=np.bool_),
        values=dict(zip(metrics, arrays[: len(metrics)], strict=True)),
        standard_errors=dict(zip(metrics, arrays[len(metrics) :], strict=True)),
    )


def _number_in(column: InstrumentedAttribute[dict[str, Any]], name: str, label: str) -> Label[str]:
    """Return the expression of a number in a JSON column as text; NaN where there is none."""
    return func.coalesce(column[name].as_string(), "NaN").label(label)
