"""What the model-free proposers share: one pick after another, each new and within the limits.

Does not know how a configuration is picked.
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter, filter_after
from service.optimization.candidates import density_sample
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers import Suggest
from service.optimization.proposers.even_draws import even_draws

Pick = Callable[[CandidateFilter, Sequence[Parameterization]], Parameterization | None]
"""Returns an allowed parameterization, given those that wait for a result; None if it finds none."""

EFFORT = 10_000
"""Draws, of each of two kinds, after which a space counts as exhausted."""


def suggest_in_turn(
    pick: Pick,
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float,
    generated_by: str,
) -> list[Suggestion]:
    """Return starting points, then picks; draws where a pick finds nothing; fewer if those find nothing too.

    After `time_limit_seconds` there are only draws, with `generated_by` "time_limit". Loads no torch, so that
    a new process of a study worker is at work in a moment.
    """
    deadline = time.monotonic() + time_limit_seconds
    allowed = filter_after(problem, observations, pending=pending)
    suggestions: list[Suggestion] = []
    while len(suggestions) < count:
        waiting = [*problem.excluded, *pending, *(suggestion.parameterization for suggestion in suggestions)]
        rng = generator("fallback", seed, len(observations) + len(waiting))
        late = time.monotonic() >= deadline
        suggestion = _next(None if late else pick, allowed, waiting, rng=rng, generated_by=generated_by)
        if suggestion is None:
            break
        allowed.take(suggestion.parameterization)
        suggestions.append(suggestion)
    return suggestions


def proposing(
    pick: Callable[[CandidateFilter, int, int], Parameterization | None], proposer: Proposer
) -> Suggest:
    """Return the proposer that picks for each position in a study's sequence, with the study's seed."""

    def suggest(
        problem: Problem,
        observations: Sequence[Observation],
        *,
        pending: Sequence[Parameterization],
        count: int,
        seed: int,
        time_limit_seconds: float = math.inf,
    ) -> list[Suggestion]:
        return suggest_in_turn(
            lambda allowed, waiting: pick(allowed, len(observations) + len(waiting), seed),
            problem,
            observations,
            pending=pending,
            count=count,
            seed=seed,
            time_limit_seconds=time_limit_seconds,
            generated_by=proposer.value,
        )

    return suggest


def generator(name: str, seed: int, position: int) -> random.Random:
    """Return the random numbers of one pick of one proposer."""
    return random.Random(f"{name}/{seed}/{position}")  # noqa: S311  a search, not a secret


def first_new(
    allowed: CandidateFilter, draw: Callable[[int], Iterable[Parameterization]], *, effort: int = EFFORT
) -> Parameterization | None:
    """Return the first draw that may be suggested; None after `effort` draws."""
    size = 1
    seen: set[str] = set()
    while effort > 0:
        drawn = {repr(parameterization): parameterization for parameterization in draw(min(size, effort))}
        new = allowed.keep(values for shown, values in drawn.items() if shown not in seen)
        if new:
            return new[0]
        seen.update(drawn)
        effort -= size
        size *= 4
    return None


def _next(
    pick: Pick | None,
    allowed: CandidateFilter,
    waiting: Sequence[Parameterization],
    *,
    rng: random.Random,
    generated_by: str,
) -> Suggestion | None:
    problem = allowed.problem
    starting = allowed.keep(problem.starting_points)
    if starting:
        return Suggestion(starting[0], "starting_point")
    picked = None if pick is None else pick(allowed, waiting)
    if picked is not None:
        return Suggestion(picked, generated_by)
    space = problem.search_space
    # Even draws rarely reach the sparse end of many switches, the only part that tight limits may leave.
    drawn = first_new(allowed, lambda count: even_draws(space, count, rng=rng)) or first_new(
        allowed, lambda count: density_sample(space, count, rng=rng)
    )
    return None if drawn is None else Suggestion(drawn, "time_limit" if pick is None else "fallback_random")
