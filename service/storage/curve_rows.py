"""Reads what the trials of a study measured at one share of their training. Knows no rule."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ARRAY, ColumnElement, Function, Label, String, Subquery, case, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from api_schemas.objectives import Metric
from api_schemas.trials import SHARE, TrialState
from service.storage.models import Replicate, Trial, TrialMeasurement


class CurveRow(NamedTuple):
    """What a trial measured around a share of its training: the last point up to it, and its neighbours.

    The point before comes with its share and score, the one after with its share. `final` holds what a
    trial that has succeeded ended with.
    """

    measurements: list[dict[str, float]]
    final: dict[str, float] | None


def curves_at(
    session: Session,
    study_id: str,
    share: float,
    *,
    needed: Sequence[str],
    ends: Sequence[str],
    besides: str,
    finished_only: bool,
) -> list[CurveRow]:
    """Read the curves of first seeds, in their last attempt, of other trials that have got as far.

    A measurement counts that has every metric `needed`; `ends` are those that a trial ended with. With
    `finished_only`, trials that have not succeeded are left out.
    """
    points = _points(study_id, needed, finished_only=finished_only)
    goes_on = func.coalesce(points.c.share_after > share, points.c.share == share)
    query = (
        select(
            points.c.share_before,
            points.c.score_before,
            points.c.share_after,
            Trial.state == TrialState.SUCCEEDED,
            *(_number(points.c.metrics, name) for name in needed),
            *(case((Trial.state == TrialState.SUCCEEDED, _number(Trial.metrics, name))) for name in ends),
        )
        .join(Trial, Trial.id == points.c.trial_id)
        .where(points.c.share <= share, goes_on, points.c.trial_id != besides)
        .order_by(points.c.trial_id)
    )
    found = []
    for share_before, score_before, share_after, succeeded, *values in session.execute(query):
        now = dict(zip(needed, values, strict=False))
        before = [] if score_before is None else [{SHARE: share_before, Metric.SCORE: score_before}]
        after = [] if share_after is None else [{SHARE: share_after}]
        final = dict(zip(ends, values[len(needed) :], strict=True)) if succeeded else None
        found.append(CurveRow([*before, now, *after], final))
    return found


def _points(study_id: str, needed: Sequence[str], *, finished_only: bool) -> Subquery:
    metrics = TrialMeasurement.metrics

    def neighbour(function: Function[float], name: str) -> Label[float]:
        by_step = function.over(partition_by=TrialMeasurement.trial_id, order_by=TrialMeasurement.step)
        return by_step.label(name)

    query = (
        select(
            TrialMeasurement.trial_id,
            metrics.label("metrics"),
            _number(metrics, SHARE).label("share"),
            neighbour(func.lag(_number(metrics, SHARE)), "share_before"),
            neighbour(func.lag(_number(metrics, Metric.SCORE)), "score_before"),
            neighbour(func.lead(_number(metrics, SHARE)), "share_after"),
        )
        .join(
            Replicate,
            (Replicate.trial_id == TrialMeasurement.trial_id)
            & (Replicate.attempt == TrialMeasurement.attempt),
        )
        .where(Replicate.study_id == study_id, Replicate.number == 0)
        .where(metrics.has_all(literal(sorted(needed), ARRAY(String))))
    )
    if finished_only:
        query = query.where(
            Replicate.trial_id.in_(
                select(Trial.id).where(Trial.study_id == study_id, Trial.state == TrialState.SUCCEEDED)
            )
        )
    return query.subquery()


def _number(
    metrics: InstrumentedAttribute[dict[str, float]] | ColumnElement[dict[str, float]], name: str
) -> ColumnElement[float]:
    number: ColumnElement[float] = metrics[name].as_float()
    return number
