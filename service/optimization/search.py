"""Find the candidate with the highest acquisition value.

A large pool is scored at once: sparse and dense draws, and mutations, neighbours and swaps of the front.
The best are improved by exchanging one parameter at a time, then along the gradient of the real numbers.
A space that is small enough is enumerated.
"""

import math
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import minimize
from torch import Tensor

from service.optimization.acquisition import Acquisition
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import (
    activated_codes,
    density_codes,
    enumerate_codes,
    mutation_codes,
    neighbour_codes,
    swap_codes,
)
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Codes, Grid

SMALL_SPACE = 2048
"""A space with no more combinations is enumerated."""

DRAWS = 2048
MUTATIONS = 512
SWAPS = 12
FRONT_POINTS = 16
NEIGHBOURS = 4096
"""Neighbours scored in one round at most; of more, a random part."""

WIDE = 100
"""With more columns than this, fewer candidates are scored, in proportion: each score reads every column."""

SCORED_AT_A_TIME, NUMBERS_AT_A_TIME = 512, 2_000_000
"""Candidates scored between two checks of the clock, and numbers in them: bounds memory with many columns."""

LOCAL_STARTS = 6
LOCAL_ROUNDS = 6
LOOKED_AT = 400
"""How many of the best candidates are compared with those taken before fewer new ones will do."""

GRADIENT_STARTS = 4
GRADIENT_STEPS = 15

SHORTLISTED = 512
"""A shortlist has this many of the best candidates of a search, and about as many of the others."""
ROUNDS_FROM_SHORTLIST, STEPS_FROM_SHORTLIST = 1, 5
DIFFERENCE = 1e-6

Scores = Float64[np.ndarray, " n"]


class Found(NamedTuple):
    """The best candidate of a search (one row), its score, and where to look for the next of a batch."""

    codes: Codes
    score: float
    shortlist: Codes


@dataclass
class Search:
    """One search: where, by which value, and what may not be suggested."""

    encoded: EncodedProblem
    allowed: CandidateFilter
    acquisition: Acquisition
    rng: np.random.Generator
    deadline: float = math.inf
    """On the monotonic clock: scoring and improvement stop there."""
    keys: dict[bytes, Hashable] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Return the search space as codes."""
        return self.encoded.problem.grid

    @torch.no_grad()
    def scores(self, codes: Codes) -> Scores:
        """Evaluate the acquisition function at each candidate alone.

        It is -inf beyond a limit on an exact metric, and where the deadline left a candidate unscored.
        """
        values = np.full(len(codes), -np.inf)
        # Strided, so that every kind of candidate is scored in part before the deadline.
        size = max(1, min(SCORED_AT_A_TIME, NUMBERS_AT_A_TIME // max(self.grid.dimensions, 1)))
        whole = math.isinf(self.deadline) and size == SCORED_AT_A_TIME
        parts = 1 if whole else math.ceil(len(codes) / size)
        for part in range(min(parts, len(codes))):
            if part > 0 and time.monotonic() >= self.deadline:
                break
            X = self.encoded.rows_at(codes[part::parts])
            values[part::parts] = self.acquisition(X).numpy()
        kept = self.allowed.within_limits(codes) & ~np.isnan(values)
        return np.asarray(np.where(kept, values, -np.inf))

    def new(self, codes: Codes, scores: Scores, *, count: int) -> tuple[Codes, Scores]:
        """Return the best candidates that are new, each once, best first.

        Those taken may all stand before the first new one, where many results are not modelled.
        """
        order = np.argsort(-scores, kind="stable")
        kept: dict[Hashable, int] = {}
        looked_at: set[bytes] = set()
        for index in order.tolist():
            given_up = bool(kept) and len(looked_at) >= LOOKED_AT
            if len(kept) == count or given_up or scores[index] == -np.inf:
                break
            row = codes[index].tobytes()
            if row not in looked_at:
                looked_at.add(row)
                key = self._key(row, codes[index])
                if key not in self.allowed.taken:
                    kept.setdefault(key, index)
        chosen = list(kept.values())
        return np.asarray(codes[chosen]), np.asarray(scores[chosen])

    def _key(self, row: bytes, codes: Float64[np.ndarray, " p"]) -> Hashable:
        if row not in self.keys:
            self.keys[row] = self.encoded.problem.key(self.grid.parameterizations(codes[None])[0])
        return self.keys[row]


def maximise(search: Search, front: Codes) -> Found | None:
    """Return the best new candidate, or None if nothing new is found."""
    listed = enumerate_codes(search.grid, limit=SMALL_SPACE)
    pool = _pool(search, front) if listed is None else listed
    scores = search.scores(pool)
    if listed is not None:
        return _found(*search.new(pool, scores, count=1), shortlist=pool)
    best = search.new(pool, scores, count=LOCAL_STARTS)
    best = _improved(search, *best, rounds=LOCAL_ROUNDS, steps=GRADIENT_STEPS)
    return _found(*best, shortlist=_shortlist(pool, scores))


def maximise_among(search: Search, shortlist: Codes) -> Found | None:
    """Return the same from the shortlist of a search with the same model, in a fraction of its time.

    The two acquisition functions differ only in what was picked or became pending since then.
    """
    best = search.new(shortlist, search.scores(shortlist), count=LOCAL_STARTS)
    if enumerate_codes(search.grid, limit=SMALL_SPACE) is None:
        best = _improved(search, *best, rounds=ROUNDS_FROM_SHORTLIST, steps=STEPS_FROM_SHORTLIST)
    return _found(*best, shortlist=shortlist)


def _found(best: Codes, scores: Scores, *, shortlist: Codes) -> Found | None:
    return Found(best[:1], float(scores[0]), shortlist) if len(best) else None


def _shortlist(pool: Codes, scores: Scores) -> Codes:
    order = np.argsort(-scores, kind="stable")
    others = order[SHORTLISTED:]
    spread = others[:: max(1, len(others) // SHORTLISTED)]
    return np.asarray(pool[np.concatenate([order[:SHORTLISTED], spread])])


def _improved(
    search: Search, best: Codes, scores: Scores, *, rounds: int, steps: int
) -> tuple[Codes, Scores]:
    if len(best) == 0:
        return best, scores
    best, scores = _exchange(search, best, scores, rounds=rounds)
    if search.grid.continuous and time.monotonic() < search.deadline:
        best, scores = _climb(search, best, scores, steps=steps)
    return best, scores


def _pool(search: Search, front: Codes) -> Codes:
    grid, rng = search.grid, search.rng
    parents = front[rng.integers(len(front), size=_affordable(MUTATIONS, grid))]
    return np.concatenate(
        [
            neighbour_codes(grid, front, rng=rng, limit=_affordable(NEIGHBOURS, grid)),
            swap_codes(grid, front, count=SWAPS, rng=rng),
            mutation_codes(grid, parents, rng=rng),
            density_codes(grid, _affordable(DRAWS, grid), rng=rng),
        ]
    )


def _affordable(count: int, grid: Grid) -> int:
    return math.ceil(count * min(1.0, WIDE / grid.dimensions))


def _exchange(search: Search, best: Codes, scores: Scores, *, rounds: int) -> tuple[Codes, Scores]:
    neighbours = _affordable(NEIGHBOURS, search.grid)
    for _ in range(rounds):
        if time.monotonic() >= search.deadline:
            break
        around = neighbour_codes(search.grid, best, rng=search.rng, limit=neighbours)
        around = np.concatenate([around, swap_codes(search.grid, best, count=SWAPS, rng=search.rng)])
        improved, values = search.new(
            np.concatenate([best, around]),
            np.concatenate([scores, search.scores(around)]),
            count=LOCAL_STARTS,
        )
        if values[0] <= scores[0]:
            break
        best, scores = improved, values
    return best, scores


def _climb(search: Search, best: Codes, scores: Scores, *, steps: int) -> tuple[Codes, Scores]:
    """Follow the gradient in the real numbers of the best candidates, all at once."""
    start = best[:GRADIENT_STARTS]
    places = list(search.grid.continuous)
    free = start[:, places] >= 0

    def placed(flat: Scores) -> Codes:
        codes = start.copy()
        codes[:, places] = np.where(free, flat.reshape(free.shape), codes[:, places])
        return codes

    def negative(flat: Scores) -> tuple[float, Scores]:
        value, gradient = _slope(search, placed(flat), places)
        return -float(value.sum()), -np.where(free, gradient, 0.0).reshape(-1)

    def stop_if_late(_: Scores) -> None:
        if time.monotonic() >= search.deadline:
            raise StopIteration

    optimum = minimize(
        negative,
        np.clip(start[:, places], 0.0, 1.0).reshape(-1),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * free.size,
        callback=stop_if_late,
        options={"maxiter": steps, "maxfun": 2 * steps},
    )
    # A parent may have moved to or from a value that activates a child.
    climbed = placed(optimum.x)
    climbed = search.grid.canonical(climbed, fill=activated_codes(search.grid, climbed, rng=search.rng))
    return search.new(
        np.concatenate([best, climbed]), np.concatenate([scores, search.scores(climbed)]), count=LOCAL_STARTS
    )


def _slope(search: Search, codes: Codes, places: list[int]) -> tuple[Scores, Float64[np.ndarray, "n floats"]]:
    """Return the acquisition values and their gradient; exact outcomes by difference quotients."""
    columns = [search.grid.columns[place] for place in places]
    X, features = search.encoded.rows_at(codes).requires_grad_(), search.encoded.features
    values = search.acquisition(X)
    (slopes,) = torch.autograd.grad(values.sum(), X)
    gradient = slopes[:, columns].numpy().copy()
    for index, place in enumerate(places):
        change = _exact_change(search, codes, place, X.detach()[:, features:])
        gradient[:, index] += (slopes[:, features:] * change).sum(dim=1).numpy()
    return values.detach().numpy(), np.nan_to_num(gradient, posinf=0.0, neginf=0.0)


def _exact_change(
    search: Search, codes: Codes, place: int, exact: Float64[Tensor, "n k"]
) -> Float64[Tensor, "n k"]:
    if exact.shape[1] == 0:
        return exact
    step = np.where(codes[:, place] + DIFFERENCE <= 1.0, DIFFERENCE, -DIFFERENCE)
    moved = codes.copy()
    moved[:, place] += np.where(codes[:, place] >= 0, step, 0.0)
    return (search.encoded.exact_at(moved) - exact) / torch.from_numpy(step).unsqueeze(1)
