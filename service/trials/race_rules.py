"""Who races, who is dropped, and who gets the next seeds. Pure; knows no database and no model.

Each round trains the racers with one new seed each, and the models are asked again. A trial is behind that is
less than a tenth as likely to be on the front as the likeliest one; of studies with one objective, to be the
best. The default stays as long as a racer may be better or worse than it: it is what users compare with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BEHIND = 0.1
"""Of the largest chance to be on the front: whoever has less is dropped."""

SETTLED = 0.99
"""The chance of being better than the default, or worse, at which further seeds would say nothing new."""

LEAST_ROUNDS = 2
"""A race begins with as many trials as its trainings last for so many rounds."""


@dataclass(frozen=True)
class Contender:
    """What is known of a trial. `loss` is smaller, the better its first noisy objective is expected to be.

    `chance` is that of being on the front, and `chance_over_default` that of being better than the default;
    each is None where no model says it.
    """

    trial_id: str
    number: int
    seeds: int
    loss: float
    chance: float | None
    chance_over_default: float | None
    is_default: bool


def begin(contenders: Sequence[Contender], *, trainings: int) -> list[Contender]:
    """Choose who races: the default, and the best of those that may be on the front."""
    places = max(2, trainings // LEAST_ROUNDS)
    default = [one for one in contenders if one.is_default]
    others = [one for one in contenders if not one.is_default and not _is_behind(one, contenders)]
    return default + sorted(others, key=_best_first)[: places - len(default)]


def behind(racers: Sequence[Contender]) -> list[Contender]:
    """Choose who is dropped after a round."""
    dropped = [one for one in racers if not one.is_default and _is_behind(one, racers)]
    left = [one for one in racers if one not in dropped]
    default = [one for one in left if one.is_default and _is_behind(one, racers) and _is_settled(left)]
    return dropped + default


def next_seeds(racers: Sequence[Contender], *, trainings: int) -> list[Contender]:
    """Choose who gets a seed: all racers, or where trainings lack, those with the fewest seeds."""
    fewest_first = sorted(racers, key=lambda one: (one.seeds, *_best_first(one)))
    return fewest_first[:trainings]


def _best_first(contender: Contender) -> tuple[float, int]:
    return contender.loss, contender.number


def _is_behind(contender: Contender, among: Sequence[Contender]) -> bool:
    likeliest = max((one.chance for one in among if one.chance is not None), default=0.0)
    return contender.chance is not None and contender.chance < BEHIND * likeliest


def _is_settled(racers: Sequence[Contender]) -> bool:
    chances = [one.chance_over_default for one in racers if not one.is_default]
    return all(chance is not None and not 1 - SETTLED < chance < SETTLED for chance in chances)
