"""Ask and tell: what every optimiser in the benchmark can do."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from api_schemas.objectives import ConstraintOp
from api_schemas.search_space import Parameterization
from benchmarks.optimiser.hypervolume import costs
from benchmarks.optimiser.problems.problem import BenchmarkProblem


class Proposer(Protocol):
    """An optimiser at work on one problem."""

    def ask(self) -> Parameterization:
        """Propose the next trial."""

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        """Take the result of a trial, whether it was asked for or not; None if it could not run."""


MakeProposer = Callable[[BenchmarkProblem, int], Proposer]
"""Set an optimiser up for a problem with a seed."""


class ProposerUnavailable(Exception):
    """The optimiser's library is not installed; the message says how to get it."""


def told_costs(problem: BenchmarkProblem, metrics: Mapping[str, float]) -> list[float]:
    """Return the objectives as every other optimiser is told them: minimised, on Paretune's scales.

    So nobody has to discover that a count spans five decades.
    """
    values = np.array([[metrics[one.metric] for one in problem.objectives]], dtype=np.float64)
    return [float(value) for value in costs(problem.objectives, values)[0]]


def reference_costs(problem: BenchmarkProblem) -> NDArray[np.float64]:
    """Return the reference point on the scale of `told_costs`."""
    return costs(problem.objectives, np.array([problem.reference_point], dtype=np.float64)).ravel()


def violations(problem: BenchmarkProblem, metrics: Mapping[str, float]) -> list[float]:
    """Return how far each constraint is broken: positive beyond its bound, at most 0 within."""
    return [
        (metrics[one.metric] - one.bound) * (1.0 if one.op is ConstraintOp.AT_MOST else -1.0)
        for one in problem.constraints
    ]
