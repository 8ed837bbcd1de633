"""Curves at one share are read as a walk through all measurements finds them."""

import random
from collections.abc import Iterator, Mapping, Sequence

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.early_stopping.stopping_rule import Curve
from service.storage.curve_rows import curves_at
from service.storage.database import engine
from service.storage.models import Replicate, Trial, TrialMeasurement
from tests.service.trials.test_leases import stored_study

pytestmark = pytest.mark.usefixtures("service_environment")

NEEDED, ENDS = ("share", "score", "cost"), ("score", "cost")
GRIDS = [(0.25, 0.5, 0.75, 1.0), (0.1, 0.3, 0.5), (0.6, 1.0), (1.0,), (0.5,), (0.2, 0.4, 0.45, 0.8, 1.0), ()]


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(engine()) as opened:
        yield opened


def stored_curves(session: Session, study_id: str) -> dict[str, Curve]:
    """Give trials two attempts each on one of the grids, some with a measurement that lacks a metric."""
    numbers, curves = random.Random(1), {}
    trials = session.query(Trial).where(Trial.study_id == study_id).order_by(Trial.number)
    for number, trial in enumerate(trials):
        grid = GRIDS[number % len(GRIDS)]
        trial.state = TrialState.SUCCEEDED if number % 3 else TrialState.STOPPED_EARLY
        trial.metrics = {"score": numbers.random(), "cost": float(number), "more": 1.0}
        session.execute(update(Replicate).where(Replicate.trial_id == trial.id).values(attempt=2))
        points = []
        for step, share in enumerate(grid):
            point = {"share": share, "score": numbers.random(), "cost": float(number)}
            for attempt, metrics in ((1, {**point, "score": -1.0}), (2, point)):
                row = TrialMeasurement(trial_id=trial.id, attempt=attempt, step=2 * step, metrics=metrics)
                session.add(row)
            points.append(point)
            lacking = {"share": share + 0.01, "score": 0.0}
            session.add(TrialMeasurement(trial_id=trial.id, attempt=2, step=2 * step + 1, metrics=lacking))
        if points:
            ended = {name: trial.metrics[name] for name in ENDS}
            curves[trial.id] = Curve(points, ended if number % 3 else None)
    session.flush()
    return curves


def shown(curve: Curve, share: float) -> tuple[Sequence[tuple[float, float]], Mapping[str, float], object]:
    """What a rule reads of a curve: scores of the last two points, the last one whole, and the end."""
    until = curve.until(share)
    return [(point["share"], point["score"]) for point in until[-2:]], until[-1], curve.final


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("finished_only", [True, False])
def test_curves_at_a_share_are_those_of_a_walk(session: Session, share: float, finished_only: bool) -> None:
    """On any grid: of the last attempt, complete, and of other trials that have got as far."""
    curves = stored_curves(session, stored_study(trials=28))
    own = min(trial_id for trial_id, curve in curves.items() if curve.reaches(share))
    wanted = [
        shown(curve, share)
        for trial_id, curve in curves.items()
        if curve.reaches(share) and trial_id != own and not (finished_only and curve.final is None)
    ]
    study_id = session.query(Trial.study_id).limit(1).scalar()
    assert study_id is not None
    read = curves_at(
        session, study_id, share, needed=NEEDED, ends=ENDS, besides=own, finished_only=finished_only
    )
    found = [Curve(*row) for row in read]
    assert all(curve.reaches(share) for curve in found)
    assert len(wanted) > 0
    assert sorted(map(repr, wanted)) == sorted(repr(shown(curve, share)) for curve in found)
