"""The rules: stop a trial that is unlikely to add hypervolume, or one that ranks low among its peers.

Only the score is uncertain while a trial runs: parameters are exact, latency and memory are measured
before the first epoch ends, seconds grow in proportion to the steps. So a trial adds hypervolume
if and only if its final score passes a threshold, and the chance of that is a tail of one distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import moocore
import numpy as np

from api_schemas.objectives import ConstraintOp, Direction, Metric, Objective, OutcomeConstraint
from api_schemas.studies import EarlyStopping
from api_schemas.trials import SHARE
from service.early_stopping.learning_curves import Prediction, calibration, predict

FINISHED_BEFORE_STOPPING = 8
"""No trial is stopped before this many have been trained to the end."""

SMALL_CHANCE = 0.1
MISCALIBRATED = 4.0
"""Predictions whose squared errors exceed the predicted variance by this factor are not used."""

RANK_FROM_SHARE = 0.5
RANK_KEEPS = 0.5
"""The rank rule stops the worse half, and not before half of the training."""


class Reason(StrEnum):
    """Which rule decided."""

    HYPERVOLUME = "hypervolume"
    RANK = "rank"


@dataclass(frozen=True)
class Curve:
    """A trial's measurements so far, in order; `final` holds its metrics if the trial finished."""

    measurements: Sequence[Mapping[str, float]]
    final: Mapping[str, float] | None = None

    def reaches(self, share: float) -> bool:
        """Return whether there is a measurement at this share of the training and one not after it."""
        return self.measurements[0][SHARE] <= share <= self.measurements[-1][SHARE]

    def until(self, share: float) -> Sequence[Mapping[str, float]]:
        """Return the measurements up to a share of the training, the last one nearest to it."""
        return [point for point in self.measurements if point[SHARE] <= share]


@dataclass(frozen=True)
class Verdict:
    """Whether to stop, by which rule, and what was predicted for the final score."""

    stop: bool
    reason: Reason | None = None
    prediction: Prediction | None = None
    chance: float | None = None


GO_ON = Verdict(stop=False)


def may_stop(share: float, *, finished: int, objectives: Sequence[Objective], rule: EarlyStopping) -> bool:
    """Return whether a rule may stop a trial at a share of its training, after so many that finished."""
    if rule is EarlyStopping.NEVER or share >= 1 or finished < FINISHED_BEFORE_STOPPING:
        return False
    return share >= RANK_FROM_SHARE or _predicts(objectives, rule)


def judge(
    own: Curve,
    others: Sequence[Curve],
    *,
    objectives: Sequence[Objective],
    constraints: Sequence[OutcomeConstraint],
    reference_point: Sequence[float] | None,
    rule: EarlyStopping,
) -> Verdict:
    """Return the verdict on a running trial at its latest measurement, against others at the same share."""
    share = own.measurements[-1][SHARE]
    finished = [curve for curve in others if curve.final is not None and curve.reaches(share)]
    if not may_stop(share, finished=len(finished), objectives=objectives, rule=rule):
        return GO_ON
    if _predicts(objectives, rule):
        features = [_features(curve, share) for curve in finished]
        finals = [curve.final[Metric.SCORE] for curve in finished if curve.final is not None]
        if calibration(features, finals) <= MISCALIBRATED:
            prediction = predict(features, finals, _features(own, share))
            return _by_hypervolume(own, finished, prediction, objectives, constraints, reference_point)
    if share < RANK_FROM_SHARE:
        return GO_ON
    return _by_rank(own, [curve for curve in others if curve.reaches(share)], objectives, share)


def threshold(
    own: Mapping[str, float],
    finished: Sequence[Mapping[str, float]],
    *,
    objectives: Sequence[Objective],
    constraints: Sequence[OutcomeConstraint],
    reference_point: Sequence[float] | None,
) -> float:
    """Return the score above which a trial with these other metrics adds hypervolume; infinite if none does.

    It is the highest of: the best score among finished trials that are at least as good in everything else,
    the reference score, and the bounds on the score.
    """
    bars = [-np.inf]
    for position, objective in enumerate(objectives):
        if reference_point is not None:
            if objective.metric == Metric.SCORE:
                bars.append(reference_point[position])
            elif _gain(objective, own) <= _signed(objective, reference_point[position]):
                return float("inf")
    for constraint in constraints:
        if constraint.metric == Metric.SCORE and constraint.op is ConstraintOp.AT_LEAST:
            bars.append(constraint.bound)
        elif constraint.metric != Metric.SCORE and not constraint.holds(own[constraint.metric]):
            return float("inf")
    costs = [objective for objective in objectives if objective.metric != Metric.SCORE]
    for other in finished:
        if all(_gain(cost, other) >= _gain(cost, own) for cost in costs) and all(
            constraint.holds(other[constraint.metric]) for constraint in constraints
        ):
            bars.append(other[Metric.SCORE])
    return float(max(bars))


def _predicts(objectives: Sequence[Objective], rule: EarlyStopping) -> bool:
    return rule is EarlyStopping.HYPERVOLUME and any(
        item.metric == Metric.SCORE and item.direction is Direction.MAXIMIZE for item in objectives
    )


def _by_hypervolume(
    own: Curve,
    finished: Sequence[Curve],
    prediction: Prediction,
    objectives: Sequence[Objective],
    constraints: Sequence[OutcomeConstraint],
    reference_point: Sequence[float] | None,
) -> Verdict:
    bar = threshold(
        own.measurements[-1],
        [curve.final for curve in finished if curve.final is not None],
        objectives=objectives,
        constraints=constraints,
        reference_point=reference_point,
    )
    chance = 0.0 if np.isinf(bar) and bar > 0 else prediction.chance_above(bar)
    return Verdict(chance < SMALL_CHANCE, Reason.HYPERVOLUME, prediction, chance)


def _by_rank(own: Curve, peers: Sequence[Curve], objectives: Sequence[Objective], share: float) -> Verdict:
    points = [curve.until(share)[-1] for curve in (own, *peers)]
    gains = [[_gain(objective, point) for objective in objectives] for point in points]
    ranks = moocore.pareto_rank(-np.asarray(gains, dtype=np.float64))
    better = int((ranks[1:] < ranks[0]).sum())
    return Verdict(better >= RANK_KEEPS * len(peers), Reason.RANK)


def _features(curve: Curve, share: float) -> list[float]:
    """Return the features of a curve at a share: score, both losses, and the gain of the last step."""
    *_, before, now = [curve.measurements[0], *curve.until(share)]
    return [now[Metric.SCORE], now["loss"], now["train_loss"], now[Metric.SCORE] - before[Metric.SCORE]]


def _gain(objective: Objective, metrics: Mapping[str, float]) -> float:
    return _signed(objective, metrics[objective.metric])


def _signed(objective: Objective, value: float) -> float:
    return value if objective.direction is Direction.MAXIMIZE else -value
