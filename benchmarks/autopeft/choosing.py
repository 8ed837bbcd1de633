"""What is taken from tuning and search to the test. Sees validation scores and nothing else."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from api_schemas.objectives import Metric
from api_schemas.recommendation import RecommendationQuery
from benchmarks.autopeft.protocol import FRONT_MEMBERS, MANUAL, OBJECTIVES
from benchmarks.autopeft.results import Trial
from service.trials.pareto_front import front_members
from service.trials.recommendation import Point, choose


def tuned(trials: Iterable[Trial]) -> dict[str, Trial]:
    """Return each manual method's trial at the rate with the best score; of equal ones the lowest rate."""
    best: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda trial: trial.configuration.training.learning_rate):
        method = trial.origin
        if trial.phase == "manual tuning" and (
            method not in best or score_of(trial) > score_of(best[method])
        ):
            best[method] = trial
    return {name: best[name] for name in MANUAL if name in best}


def front(trials: Iterable[Trial]) -> list[Trial]:
    """Return the front of a search, the fewest parameters first; of equal points the first that was run."""
    distinct: dict[tuple[float, int], Trial] = {}
    for trial in trials:
        if trial.phase == "search" and trial.validation_score is not None:
            distinct.setdefault((trial.validation_score, trial.trainable_parameters), trial)
    found = list(distinct.values())
    members = [found[row] for row in front_members(OBJECTIVES, [metrics_of(trial) for trial in found])]
    return sorted(members, key=lambda trial: trial.trainable_parameters)


def averaged(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials of a search with the mean score over their seeds, without those that diverged."""
    scores: dict[str, list[float | None]] = {}
    trials = list(trials)
    for trial in trials:
        if trial.phase in ("search", "final"):
            scores.setdefault(trial.name, []).append(trial.validation_score)
    return [
        replace(trial, validation_score=statistics.fmean(found))
        for trial in trials
        if trial.phase == "search"
        and len(found := [score for score in scores[trial.name] if score is not None])
        == len(scores[trial.name])
    ]


def spread(members: Sequence[Trial]) -> list[Trial]:
    """Take at most five members of a front, both ends among them, evenly by their rank."""
    ranks = np.linspace(0, len(members) - 1, min(FRONT_MEMBERS, len(members)))
    return [members[int(rank)] for rank in np.round(ranks)]


def knee(members: Sequence[Trial]) -> Trial | None:
    """Take the knee as the service does; None if the front has no clear one."""
    points = [Point(trial.name, row, metrics_of(trial)) for row, trial in enumerate(members)]
    position = choose(OBJECTIVES, points, RecommendationQuery()).position
    return None if position is None else members[position]


def metrics_of(trial: Trial) -> Mapping[str, float]:
    """Return what tuning and search go by."""
    return {
        Metric.SCORE: score_of(trial),
        Metric.TRAINABLE_PARAMETERS: float(trial.trainable_parameters),
    }


def score_of(trial: Trial) -> float:
    """Return the validation score; training that diverged is worse than every score."""
    return -1.0 if trial.validation_score is None else trial.validation_score
