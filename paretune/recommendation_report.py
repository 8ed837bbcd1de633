"""A recommendation as lines of text."""

from functools import partial

from api_schemas.objectives import SCORE_STANDARD_ERROR
from api_schemas.recommendation import Recommendation
from paretune.numbers import format_with_error


def recommendation_lines(found: Recommendation) -> list[str]:
    """Return which trial was chosen and why, what it is, what is lost with it, and how sure that is.

    Where none was chosen: why, and how to choose.
    """
    if found.number is None:
        return [found.reason, *_ways_to_choose(found)]
    custom = found.configuration is None
    write = partial(format_with_error, custom=custom)
    metrics = [
        f"{name.replace('_', ' ')} {write(name, found.metrics, found.metric_standard_errors)}"
        for name in found.metrics
        if custom or name not in ("collapsed", SCORE_STANDARD_ERROR)
    ]
    believed = [
        f"{name.replace('_', ' ')} " + write(name, {name: one.mean}, {name: one.standard_deviation})
        for name, one in found.believed.items()
    ]
    certainty = (
        "Chance that it truly is on the front: unknown."
        if found.front_probability is None
        else f"Chance that it truly is on the front: {found.front_probability:.0%}."
    )
    return [
        f"Trial {found.number} ({found.rule})" + (f": {found.modules}" if found.modules else ""),
        f"  measured: {', '.join(metrics)}",
        *([f"  believed: {', '.join(believed)}"] if believed else []),
        found.reason,
        *(f"Not chosen: {item.reason}" for item in found.lost),
        f"{certainty} {found.front_probability_reason}",
        f"Download it: paretune export {found.study_id} --trial {found.number}",
    ]


def _ways_to_choose(found: Recommendation) -> list[str]:
    options = [
        f"--{item.bound.replace('_', '-', 1).replace('=', ' ')}" for item in found.ranges if item.bound
    ]
    return [f"Choose: paretune recommend {found.study_id} {option}" for option in options]
