"""Recommend one point of a front by a rule, with the reason and the alternatives. Pure; knows no database.

Objectives are compared as shares of the front's range, from 0 (its worst) to 1 (its best); metrics of
`LOG_METRICS` by their log10.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from api_schemas.errors import FieldError
from api_schemas.objectives import LOG_METRICS, ConstraintOp, Direction, Objective, OutcomeConstraint
from api_schemas.recommendation import FrontRange, LostAlternative, RecommendationQuery, RecommendationRule
from service.errors import InvalidChoice, NoPointWithinBounds
from service.trials.pareto_front import costs

LEAST_BULGE = 1e-9


@dataclass(frozen=True)
class Point:
    """A member of a front."""

    trial_id: str
    number: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """The chosen point's position, and why it was chosen; None, and why none was."""

    position: int | None
    reason: str


@dataclass(frozen=True)
class Floor:
    """What a knee must beat in a metric: the best trial that trains the head alone."""

    metric: str
    value: float


def choose(
    objectives: Sequence[Objective],
    points: Sequence[Point],
    query: RecommendationQuery,
    *,
    floor: Floor | None = None,
) -> Choice:
    """Choose one of the points of a front, of which there is at least one; none if it has no clear knee.

    Raises:
        InvalidChoice: If a metric is named that the points or the objectives do not have.
        NoPointWithinBounds: If no point keeps every bound; the nearest miss is stated.
    """
    if query.rule is RecommendationRule.BOUNDS:
        return _best_within(objectives, points, query)
    if query.rule is RecommendationRule.WEIGHTS:
        return _weighted(objectives, points, query)
    return _knee(objectives, points, floor=floor)


def shares(objectives: Sequence[Objective], points: Sequence[Point]) -> NDArray[np.float64]:
    """Return each point's share of the front's range in each objective; 1 where all points are equal."""
    Z = costs(objectives, [point.metrics for point in points])
    worst, best = Z.max(axis=0), Z.min(axis=0)
    return np.where(worst > best, (worst - Z) / np.where(worst > best, worst - best, 1.0), 1.0)


def lost_alternatives(
    objectives: Sequence[Objective], points: Sequence[Point], position: int
) -> tuple[LostAlternative, ...]:
    """Return, for each objective, the nearest point that is better in it, if there is one."""
    Z = costs(objectives, [point.metrics for point in points])
    total = shares(objectives, points).sum(axis=1)
    alternatives = []
    for column, objective in enumerate(objectives):
        better = [int(row) for row in np.flatnonzero(Z[:, column] < Z[position, column])]
        if better:
            nearest = max(better, key=lambda row, column=column: (Z[row, column], total[row]))  # type: ignore[misc]
            worse = [
                other.metric
                for other, cost in zip(objectives, Z[nearest] - Z[position], strict=True)
                if cost > 0
            ]
            alternatives.append(
                _lost(objectives, points[position], points[nearest], better_in=objective.metric, worse=worse)
            )
    return tuple(alternatives)


def front_ranges(objectives: Sequence[Objective], points: Sequence[Point]) -> tuple[FrontRange, ...]:
    """Return what the points span in each objective, with a bound that half of them or more keep."""
    Z = costs(objectives, [point.metrics for point in points])
    ranges = []
    for column, objective in enumerate(objectives):
        values = [
            float(points[row].metrics[objective.metric]) for row in np.argsort(Z[:, column], kind="stable")
        ]
        side = "at_most" if objective.direction is Direction.MINIMIZE else "at_least"
        bound = f"{side}={objective.metric}:{_exactly(values[len(values) // 2])}" if column else None
        ranges.append(FrontRange(metric=objective.metric, worst=values[-1], best=values[0], bound=bound))
    return tuple(ranges)


def _knee(objectives: Sequence[Objective], points: Sequence[Point], *, floor: Floor | None) -> Choice:
    Z = shares(objectives, points)
    # In an objective in which all points are alike there is nothing to give up: it bends no front.
    bulge = _beyond_optima(Z[:, (Z < 1).any(axis=0)])
    if len(points) == 1:
        return Choice(0, f"{_titled(objectives, points[0])} is the only point of the front.")
    if (Z == 1).all():
        position = _first_best(objectives, points, bulge)
        title = _titled(objectives, points[position])
        return Choice(position, f"{title} is the oldest of the front's points, which are all equal.")
    bent = (Z > LEAST_BULGE).all(axis=1) & (bulge > LEAST_BULGE) & _above(floor, objectives, points)
    if not bent.any():
        return Choice(None, _no_clear_knee(objectives, points, floor=floor))
    position = _first_best(objectives, points, np.where(bent, bulge, -np.inf))
    reached = _listed(
        f"{share:.0%} of the range in {_words(objective.metric)}{_scale(objective)}"
        for objective, share in zip(objectives, Z[position], strict=True)
    )
    shape = "line" if len(objectives) == 2 else "plane"
    return Choice(
        position,
        f"{_titled(objectives, points[position])} lies farthest beyond the {shape} through the front's best "
        f"in each objective: of what the front spans it reaches {reached}.",
    )


def _beyond_optima(Z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far points lie beyond the plane through the individual optima (Das 1999), from their shares.

    Of two objectives the optima are the unit vectors. Of more, the best in one need not be worst in the
    others; where one is so good in them that no plane rises to all optima, that of the unit vectors counts.
    """
    optima = Z[[max(range(len(Z)), key=lambda row: (Z[row, one], Z[row].sum())) for one in range(Z.shape[1])]]
    normal = np.linalg.lstsq(optima, np.ones(len(optima)))[0]
    if (normal < -LEAST_BULGE).any():
        normal = np.ones(Z.shape[1])
    distance: NDArray[np.float64] = Z @ normal - 1.0
    return distance


def _above(
    floor: Floor | None, objectives: Sequence[Objective], points: Sequence[Point]
) -> NDArray[np.bool_]:
    if floor is None:
        return np.ones(len(points), dtype=np.bool_)
    guarded = [objective for objective in objectives if objective.metric == floor.metric]
    Z = costs(guarded, [*(point.metrics for point in points), {floor.metric: floor.value}])
    above: NDArray[np.bool_] = (Z[:-1] < Z[-1]).all(axis=1)
    return above


def _no_clear_knee(objectives: Sequence[Objective], points: Sequence[Point], *, floor: Floor | None) -> str:
    ranges = front_ranges(objectives, points)
    spans = _listed(
        f"{_value(objectives, item.metric, item.worst)} to {_number(objectives, item.metric, item.best)}"
        for item in ranges
    )
    head = ""
    if floor is not None:
        head = f" and better in {_words(floor.metric)} than the head alone "
        head += f"({_number(objectives, floor.metric, floor.value)})"
    bounds = _listed(item.bound for item in ranges if item.bound is not None)
    return (
        "No trial is recommended, for the front has no clear knee: none lies beyond what joins its ends, off "
        f"the worst of each objective{head}. From worst to best it spans {spans}. Choose by bounds, such as "
        f"{bounds}, or take the best in {_words(objectives[0].metric)}: weights={objectives[0].metric}:1."
    )


def _weighted(objectives: Sequence[Objective], points: Sequence[Point], query: RecommendationQuery) -> Choice:
    given = query.weight_of
    names = [objective.metric for objective in objectives]
    _refuse_unknown(
        {f"weights/{place}": metric for place, metric in enumerate(given)}, names, what="objective"
    )
    weights = np.array([given.get(name, 0.0) for name in names])
    weights = weights / weights.max()
    weights = weights / weights.sum()
    Z = shares(objectives, points)
    sums = Z @ weights
    position = _first_best(objectives, points, sums)
    by_name = {objective.metric: objective for objective in objectives}
    parts = " + ".join(
        f"{weight:.2f} * {share:.2f} ({_words(name)}{_scale(by_name[name])})"
        for name, weight, share in zip(names, weights, Z[position], strict=True)
        if weight > 0
    )
    return Choice(
        position,
        f"{_titled(objectives, points[position])} has the largest weighted sum of the front, "
        f"{sums[position]:.2f} = {parts}, where 1 is the front's best and 0 its worst.",
    )


def _best_within(
    objectives: Sequence[Objective], points: Sequence[Point], query: RecommendationQuery
) -> Choice:
    bounds = query.bounds
    pointers = [f"at_most/{place}" for place in range(len(query.at_most))]
    pointers += [f"at_least/{place}" for place in range(len(query.at_least))]
    measured = [name for name in points[0].metrics if all(name in point.metrics for point in points)]
    named = dict(zip(pointers, [bound.metric for bound in bounds], strict=True))
    _refuse_unknown(named, measured, what="metric")
    within = [
        row
        for row, point in enumerate(points)
        if all(bound.holds(point.metrics[bound.metric]) for bound in bounds)
    ]
    if not within:
        raise NoPointWithinBounds(_nearest_miss(objectives, points, bounds))
    kept = [points[row] for row in within]
    first = objectives[0].metric
    gain = -costs(objectives[:1], [point.metrics for point in kept])[:, 0]
    position = within[_first_best(objectives, kept, gain)]
    chosen = points[position]
    facts = _listed(
        f"{_words(bound.metric)} {_side(bound)} {_number(objectives, bound.metric, bound.bound)} "
        f"(it has {_number(objectives, bound.metric, chosen.metrics[bound.metric])})"
        for bound in bounds
    )
    best = _number(objectives, first, chosen.metrics[first])
    return Choice(
        position,
        f"Trial {chosen.number} has the best {_words(first)}, {best}, of the {len(within)} of {len(points)} "
        f"points of the front with {facts}.",
    )


def _refuse_unknown(named: Mapping[str, str], known: Sequence[str], *, what: str) -> None:
    errors = [
        FieldError(pointer=f"query:/{place}", detail=f"the front has no {what} '{name}': {', '.join(known)}")
        for place, name in named.items()
        if name not in known
    ]
    if errors:
        raise InvalidChoice(f"What is named is no {what} of this study's front.", errors=errors)


def _nearest_miss(
    objectives: Sequence[Objective], points: Sequence[Point], bounds: Sequence[OutcomeConstraint]
) -> str:
    counts = _counts(objectives)

    def scaled(metric: str, value: float) -> float:
        return float(np.log10(max(value, 1.0))) if metric in counts else value

    def violation(point: Point) -> float:
        return sum(
            abs(scaled(bound.metric, point.metrics[bound.metric]) - scaled(bound.metric, bound.bound))
            / (np.ptp([scaled(bound.metric, other.metrics[bound.metric]) for other in points]) or 1.0)
            for bound in bounds
            if not bound.holds(point.metrics[bound.metric])
        )

    nearest = min(points, key=violation)
    bounds_text = _listed(
        f"{_words(item.metric)} {_side(item)} {_number(objectives, item.metric, item.bound)}"
        for item in bounds
    )
    missed = _listed(
        _value(objectives, bound.metric, nearest.metrics[bound.metric])
        for bound in bounds
        if not bound.holds(nearest.metrics[bound.metric])
    )
    return f"No point of the front has {bounds_text}. The nearest is trial {nearest.number}: {missed}."


def _lost(
    objectives: Sequence[Objective], chosen: Point, other: Point, *, better_in: str, worse: Sequence[str]
) -> LostAlternative:
    def change(metric: str) -> str:
        new = _value(objectives, metric, other.metrics[metric])
        return f"{new} instead of {_number(objectives, metric, chosen.metrics[metric])}"

    return LostAlternative(
        better_in=better_in,
        trial_id=other.trial_id,
        number=other.number,
        metrics={objective.metric: other.metrics[objective.metric] for objective in objectives},
        differences={
            objective.metric: other.metrics[objective.metric] - chosen.metrics[objective.metric]
            for objective in objectives
        },
        # A default that stands may be beaten in nothing but certainty.
        reason=f"Trial {other.number} has {change(better_in)}, "
        + (f"for {_listed(map(change, worse))}." if worse else "and is worse in nothing."),
    )


def _first_best(objectives: Sequence[Objective], points: Sequence[Point], values: NDArray[np.float64]) -> int:
    """Return the largest value's position; among equals the best first objective, then the oldest trial."""
    first = costs(objectives[:1], [point.metrics for point in points])[:, 0]
    tied = np.flatnonzero(values >= values.max() - LEAST_BULGE)
    return int(min(tied, key=lambda row: (first[row], points[int(row)].number)))


def _titled(objectives: Sequence[Objective], point: Point) -> str:
    values = (_value(objectives, item.metric, point.metrics[item.metric]) for item in objectives)
    return f"Trial {point.number} ({', '.join(values)})"


def _side(bound: OutcomeConstraint) -> str:
    return "at most" if bound.op is ConstraintOp.AT_MOST else "at least"


def _scale(objective: Objective) -> str:
    return " on a log scale" if objective.is_log else ""


def _counts(objectives: Sequence[Objective]) -> Set[str]:
    """Return the metrics that are counts: none if the study's metrics are the caller's."""
    return LOG_METRICS if objectives[0].of_the_service else frozenset()


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _number(objectives: Sequence[Objective], metric: str, value: float) -> str:
    return f"{value:,.0f}" if metric in _counts(objectives) else f"{value:.4g}"


def _value(objectives: Sequence[Objective], metric: str, value: float) -> str:
    return f"{_words(metric)} {_number(objectives, metric, value)}"


def _exactly(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _listed(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
