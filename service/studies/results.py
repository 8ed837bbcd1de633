"""What the trials of a study that succeeded measured, without the rest of their wide rows. Reads only."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.models import Trial


class Result(NamedTuple):
    """What a trial that succeeded measured, without the rest of its wide row."""

    trial_id: str
    number: int
    metrics: dict[str, float]
    metric_standard_errors: dict[str, float]


class ResultColumns(NamedTuple):
    """The same of many trials, as an array for each metric; not a number where a trial has none."""

    trial_ids: Sequence[str]
    numbers: Sequence[int]
    has_one_seed: NDArray[np.bool_]
    values: Mapping[str, NDArray[np.float64]]
    standard_errors: Mapping[str, NDArray[np.float64]]

    def where(self, kept: NDArray[np.bool_]) -> "ResultColumns":
        """Keep some of the trials."""
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


def result_columns(session: Session, study_id: str, metrics: Sequence[str]) -> ResultColumns:
    """Read some metrics of the trials of a study that succeeded, by number."""
    # Postgres takes the numbers out: to parse all that was measured would take most of the time.
    values = [Trial.metrics[name].as_float() for name in metrics]
    errors = [Trial.metric_standard_errors[name].as_float() for name in metrics]
    rows = session.execute(
        select(Trial.id, Trial.number, Trial.metric_standard_errors == {}, *values, *errors)
        .where(Trial.study_id == study_id, Trial.state == TrialState.SUCCEEDED)
        .order_by(Trial.number)
    ).all()
    trial_ids, numbers, single, *columns = zip(*rows, strict=True) if rows else [()] * (3 + 2 * len(metrics))
    arrays = [np.array(column, dtype=np.float64) for column in columns]
    return ResultColumns(
        trial_ids=trial_ids,
        numbers=numbers,
        has_one_seed=np.array(single, dtype=np.bool_),
        values=dict(zip(metrics, arrays[: len(metrics)], strict=True)),
        standard_errors=dict(zip(metrics, arrays[len(metrics) :], strict=True)),
    )
