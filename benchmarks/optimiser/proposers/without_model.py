"""Baselines that learn nothing: uniform draws, and draws spread over layer density and cost.

The second is the one to beat: much of a model's lead over uniform draws is better sampling.
"""

import random
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
)
from benchmarks.optimiser.hypervolume import costs
from benchmarks.optimiser.problems.problem import BenchmarkProblem, columns_of
from service.optimization.grid import numbers_at

DRAWS = 4096
"""Candidates of the spread baseline, drawn once for a run."""


def uniform(problem: BenchmarkProblem, seed: int) -> "_Uniform":
    """Draw every parameter uniformly (on its logarithm where it says so); repeats are possible."""
    return _Uniform(problem, _rng("uniform", seed))


def density(problem: BenchmarkProblem, seed: int) -> "_Density":
    """Draw the share of switches that are on uniformly, and visit the known cost's range evenly.

    Where no objective is known, only the first half of that is possible.
    """
    return _Density(problem, _rng("density", seed))


@dataclass
class _Uniform:
    problem: BenchmarkProblem
    rng: random.Random

    def ask(self) -> Parameterization:
        return _draw(self.problem, self.rng, share_on=0.5)

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        pass


@dataclass
class _Density:
    problem: BenchmarkProblem
    rng: random.Random
    position: int = 0
    taken: set[Hashable] = field(default_factory=set)
    pool: list[Parameterization] = field(default_factory=list)
    keys: list[Hashable] = field(default_factory=list)
    known: NDArray[np.float64] | None = None

    def ask(self) -> Parameterization:
        if not self.pool:
            self._draw_pool()
        position, self.position = self.position, self.position + 1
        free = [at for at, key in enumerate(self.keys) if key not in self.taken]
        if not free:
            return self.rng.choice(self.pool)
        if self.known is None:
            return self.pool[free[0]]
        low, high = float(self.known.min()), float(self.known.max())
        target = low + _spread(position) * (high - low)
        return self.pool[min(free, key=lambda at: abs(float(np.asarray(self.known)[at]) - target))]

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:  # noqa: ARG002
        self.taken.add(self.problem.key(parameterization))

    def _draw_pool(self) -> None:
        self.pool = [_draw(self.problem, self.rng, share_on=self.rng.random()) for _ in range(DRAWS)]
        self.keys = [self.problem.key(one) for one in self.pool]
        for objective in self.problem.objectives:
            metric = self.problem.exact_metrics.get(objective.metric)
            if metric is not None:
                values = metric(columns_of(self.problem.search_space, self.pool))
                self.known = costs([objective], values[:, None])[:, 0]
                return


def _draw(problem: BenchmarkProblem, rng: random.Random, *, share_on: float) -> Parameterization:
    return {one.name: _value(one, rng, share_on=share_on) for one in problem.search_space.parameters}


def _value(parameter: Parameter, rng: random.Random, *, share_on: float) -> ParameterValue:
    match parameter:
        case BoolParameter():
            return rng.random() < share_on
        case OrdinalParameter() | CategoricalParameter():
            return parameter.choices[rng.randrange(len(parameter.choices))]
        case FloatParameter() | IntParameter():
            number = float(numbers_at(parameter, np.array([rng.random()]))[0])
            return int(number) if isinstance(parameter, IntParameter) else number


def _spread(position: int) -> float:
    """Return both ends of [0, 1], then the van der Corput sequence in base 2."""
    if position < 2:
        return float(position)
    index, share, digit = position - 1, 0.0, 0.5
    while index:
        share, index, digit = share + digit * (index & 1), index >> 1, digit / 2
    return share


def _rng(name: str, seed: int) -> random.Random:
    return random.Random(f"{name}/{seed}")  # noqa: S311  a search, not a secret
