"""Whether a chosen trial takes the place of the default, LoRA of rank 8. Pure; knows no database.

Another trial is recommended only if it is better with a chance of `SURE`, or as good and cheaper: expected to
be no worse, no dearer in any other objective, and cheaper in one. A smaller network that is cheaper in one
need not be as good: whoever lets the backbone be cut asks for that trade, and the default has all of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from api_schemas.objectives import Objective
from api_schemas.recommendation import AgainstDefault
from service.trials.pareto_front import costs
from service.trials.recommendation import Choice, Point

SURE = 0.9
"""The chance of being better from which on a trial replaces the default."""

MOST_TRAININGS = 1000
"""More are not counted: nobody would pay them."""


@dataclass(frozen=True)
class Lead:
    """How much better than the default a trial is, and how far that may be off.

    `noise` is the standard deviation of one training with a fresh seed. Both are None where unknown.
    """

    difference: float
    standard_error: float | None
    noise: float | None


@dataclass(frozen=True)
class Default:
    """The default among the points, the metric that counts, and each point's lead over it."""

    position: int
    metric: str
    lead_of: Callable[[int], Lead]


def probability_better(lead: Lead) -> float | None:
    """Return the chance that the true difference is above zero, by a normal distribution."""
    if lead.standard_error is None:
        return None
    if lead.standard_error == 0:
        return float(lead.difference > 0)
    return float(ndtr(lead.difference / lead.standard_error))


def trainings_to_be_sure(lead: Lead) -> int | None:
    """Return about how many trainings make the chance `SURE`, should the difference d stay as it is.

    n further seeds of each of the two bring the precision 1 / s^2 of the difference to 1 / s^2 + n / (2 v^2),
    where s is its standard error and v the noise of one training; it must reach (z / d)^2 with z the
    normal quantile of `SURE`. So n = 2 v^2 ((z / d)^2 - 1 / s^2), and 2 n trainings. None if no number would
    do, or none is needed, or too little is known.
    """
    if lead.standard_error is None or lead.noise is None or lead.difference <= 0:
        return None
    if not lead.standard_error or not lead.noise:
        return None
    missing = (float(ndtri(SURE)) / lead.difference) ** 2 - lead.standard_error**-2
    return 2 * math.ceil(2 * lead.noise**2 * missing) if missing > 0 else None


def protect(
    objectives: Sequence[Objective],
    points: Sequence[Point],
    choice: Choice,
    default: Default,
    *,
    is_smaller: bool = False,
) -> tuple[Choice, AgainstDefault | None]:
    """Return the choice, or the default in its place, and how the two compare.

    `is_smaller` is whether the chosen trial keeps only a part of its backbone. A default that a point
    dominates is not recommended either: the best of those points is.
    """
    if choice.position is None or choice.position == default.position:
        return choice, None
    lead = default.lead_of(choice.position)
    chance = probability_better(lead)
    cheaper = _as_good_and_cheaper(objectives, points, default)
    saved = _saved_by(objectives, points, choice.position, default) if is_smaller else None
    stands = (chance is not None and chance >= SURE) or choice.position in cheaper or saved is not None
    against = _compared(points, choice.position, default, lead, set_aside=not stands)
    metric, number = default.metric.replace("_", " "), points[default.position].number
    reference = f"trial {number}, LoRA of rank 8"
    if stands:
        why = "" if choice.position not in cheaper else ", and cheaper"
        if not why and saved is not None:
            why = f"; it is a smaller network, and cheaper in {saved.replace('_', ' ')}"
        return Choice(
            choice.position,
            f"{choice.reason} Against the default, {reference}, it is {_chance_of(metric, chance)}{why}."
            f"{_price(against)}",
        ), against
    found = cheaper[0] if cheaper else default.position
    instead = (
        f"The default, {reference}, stands"
        if found == default.position
        else f"Trial {points[found].number} is expected to be as good in {metric} as the default, "
        f"{reference}, and is cheaper"
    )
    other = points[choice.position].number
    return Choice(
        found,
        f"{instead}: trial {other}, which the rule chooses, is {_chance_of(metric, chance)}, which is not "
        f"{SURE:g}, and not as good and cheaper.{_price(against)}",
    ), against


def _as_good_and_cheaper(
    objectives: Sequence[Objective], points: Sequence[Point], default: Default
) -> list[int]:
    """Return the positions of such points, best first."""
    Z = costs(objectives, [point.metrics for point in points])
    own = Z[default.position]
    others = [column for column, item in enumerate(objectives) if item.metric != default.metric]
    found = [
        row for row in range(len(points)) if (Z[row] <= own).all() and (Z[row, others] < own[others]).any()
    ]
    return sorted(found, key=lambda row: (-default.lead_of(row).difference, points[row].number))


def _saved_by(
    objectives: Sequence[Objective], points: Sequence[Point], position: int, default: Default
) -> str | None:
    """Return the first objective in which a point is cheaper than the default; None if there is none."""
    own, chosen = costs(objectives, [points[one].metrics for one in (default.position, position)])
    return next(
        (
            item.metric
            for item, before, after in zip(objectives, own, chosen, strict=True)
            if item.metric != default.metric and after < before
        ),
        None,
    )


def _compared(
    points: Sequence[Point], position: int, default: Default, lead: Lead, *, set_aside: bool
) -> AgainstDefault:
    return AgainstDefault(
        metric=default.metric,
        default_trial_id=points[default.position].trial_id,
        default_number=points[default.position].number,
        chosen_trial_id=points[position].trial_id,
        chosen_number=points[position].number,
        difference=lead.difference,
        standard_error=lead.standard_error,
        probability_better=probability_better(lead),
        trainings_to_be_sure=trainings_to_be_sure(lead),
        set_aside=set_aside,
    )


def _chance_of(metric: str, chance: float | None) -> str:
    if chance is None:
        return f"better in {metric} with a chance that nobody knows, for want of seeds"
    return f"better in {metric} with probability {min(chance, 0.999):.3g}"


def _price(against: AgainstDefault) -> str:
    trainings = against.trainings_to_be_sure
    if trainings is None:
        return ""
    about = f"about {trainings}" if trainings <= MOST_TRAININGS else f"more than {MOST_TRAININGS:,}"
    return (
        f" To reach {SURE:g} costs {about} further trainings with fresh seeds, half of them for each of the "
        "two, if the difference stays as it is."
    )
