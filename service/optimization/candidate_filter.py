"""Candidates that may be proposed: new, inside the hard limits, with their known outcomes."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from api_schemas.objectives import ConstraintOp
from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.candidates import switches
from service.optimization.grid import Candidates, Codes, Grid
from service.optimization.outcomes import exact_values, outcomes_of
from service.optimization.problem import Observation, Problem

SWITCHES_WITH_A_SHARE = 4
"""From this many switches on, the share that is on is a feature of its own.

It says at once what a kernel would have to learn from every switch by itself.
"""


@dataclass
class CandidateFilter:
    """Lets a candidate through once, unless it is taken or breaks a known limit."""

    problem: Problem
    taken: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.grid = Grid(self.problem.search_space)

    def take(self, parameterization: Parameterization) -> None:
        """Mark a parameterization as evaluated, pending or picked."""
        self.taken.add(self.problem.key(parameterization))

    def keep(self, parameterizations: Iterable[Parameterization]) -> list[Parameterization]:
        """Keep what is neither taken nor repeated nor beyond a hard limit, in the given order."""
        new: dict[Hashable, Parameterization] = {}
        for parameterization in parameterizations:
            key = self.problem.key(parameterization)
            if key not in self.taken:
                new.setdefault(key, parameterization)
        listed = list(new.values())
        kept = self.within_limits(self.grid.codes(listed))
        return [parameterization for parameterization, on in zip(listed, kept, strict=True) if on]

    def within_limits(self, codes: Codes) -> Bool[np.ndarray, " n"]:
        """Return which candidates keep every limit on a known metric."""
        candidates = Candidates(self.grid, codes)
        kept = np.ones(len(codes), dtype=bool)
        for constraint in self.problem.constraints:
            if constraint.metric in self.problem.exact_metrics and len(codes):
                values = self.problem.exact_metrics[constraint.metric](candidates)
                kept &= np.array([constraint.holds(value) for value in values.tolist()])
        return kept

    def violation(self, codes: Codes) -> Float64[np.ndarray, " n"]:
        """Return by how much candidates break the limits on known metrics, as shares of the bounds."""
        candidates = Candidates(self.grid, codes)
        total = np.zeros(len(codes))
        for constraint in self.problem.constraints:
            if constraint.metric in self.problem.exact_metrics and len(codes):
                values = self.problem.exact_metrics[constraint.metric](candidates)
                excess = values - constraint.bound
                excess = excess if constraint.op is ConstraintOp.AT_MOST else -excess
                total += np.maximum(0.0, excess) / max(abs(constraint.bound), 1.0)
        return total


def filter_after(
    problem: Problem, observations: Iterable[Observation], *, pending: Iterable[Parameterization]
) -> CandidateFilter:
    """Let through what is neither observed nor pending."""
    keys = (
        problem.key(observation.parameterization) if observation.key is None else observation.key
        for observation in observations
    )
    return CandidateFilter(problem, {*keys, *map(problem.key, pending)})


def augmented(problem: Problem, parameterizations: Sequence[Parameterization]) -> Float64[Tensor, "n dk"]:
    """Encode parameterizations and append their known outcomes as columns."""
    grid = Grid(problem.search_space)
    return augmented_codes(problem, grid, grid.codes(parameterizations))


def augmented_codes(problem: Problem, grid: Grid, codes: Codes) -> Float64[Tensor, "n dk"]:
    """Return the features of candidates, then their known outcomes."""
    known = exact_values(problem, outcomes_of(problem), Candidates(grid, codes))
    return torch.cat([torch.from_numpy(with_share(grid, grid.encode(codes))), known], dim=1)


def features(
    space: SearchSpace, parameterizations: Sequence[Parameterization]
) -> Float64[Tensor, "n features"]:
    """Return the features of parameterizations: what a model reads."""
    grid = Grid(space)
    return torch.from_numpy(with_share(grid, grid.encode(grid.codes(parameterizations))))


def with_share(grid: Grid, X: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n features"]:
    """Append the share of switches that are on to encoded candidates, if there are several switches."""
    columns = [grid.columns[place] for place in switches(grid)]
    if len(columns) < SWITCHES_WITH_A_SHARE:
        return X
    return np.concatenate([X, X[:, columns].mean(axis=1, keepdims=True)], axis=1)
