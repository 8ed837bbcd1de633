"""A problem and its observations as arrays: what the models and the search read.

A row has d features (the encoded parameters, and the share of switches that are on) and then the k exact
outcomes. Knows no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from api_schemas.search_space import Parameterization
from service.optimization.candidates import switches
from service.optimization.grid import Candidates, Codes, Grid
from service.optimization.modelled_part import modelled_part
from service.optimization.outcomes import (
    Limit,
    Outcome,
    exact_values,
    limits_of,
    observed_values,
    observed_variances,
    outcomes_of,
    reference_values,
)
from service.optimization.problem import Observation, Problem, Source
from service.optimization.transfer import SourceObservations

SWITCHES_WITH_A_SHARE = 4
"""From this many switches on, the share that is on is a feature of its own.

Without it, a kernel would have to learn the same from every switch.
"""


@dataclass(frozen=True)
class EncodedProblem:
    """A problem with what was observed in it. Every array is computed once, when it is first read.

    `seed` is that of the call: it also chooses what is modelled where there are too many observations.
    """

    problem: Problem
    observations: Sequence[Observation]
    seed: int

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The m outcomes: objectives first, then metrics that only a constraint names."""
        return outcomes_of(self.problem)

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """The constraints on the outcomes' scale."""
        return limits_of(self.problem, self.outcomes)

    @property
    def objectives(self) -> int:
        """How many of the outcomes are objectives."""
        return len(self.problem.objectives)

    @cached_property
    def features(self) -> int:
        """How many columns of a row a Gaussian process reads; the exact outcomes stand behind them."""
        return features(self.problem.grid, self.problem.grid.codes([])).shape[1]

    @cached_property
    def modelled(self) -> Sequence[Observation]:
        """The observations that are modelled, trials that proved infeasible included."""
        return modelled_part(self.problem, self.outcomes, self.observations, seed=self.seed)

    @cached_property
    def measured(self) -> Sequence[Observation]:
        """Those of the modelled observations that have metrics."""
        return [observation for observation in self.modelled if observation.metrics is not None]

    @cached_property
    def worked(self) -> Bool[Tensor, " a"]:
        """Which of the modelled observations have metrics."""
        return torch.tensor([observation.metrics is not None for observation in self.modelled])

    @cached_property
    def rows(self) -> Float64[Tensor, "a dk"]:
        """The rows of all modelled observations."""
        return self.rows_of([observation.parameterization for observation in self.modelled])

    @cached_property
    def X(self) -> Float64[Tensor, "n dk"]:  # noqa: N802  the notation of the package
        """The rows of the measured observations."""
        return self.rows[self.worked]

    @cached_property
    def Y(self) -> Float64[Tensor, "n m"]:  # noqa: N802
        """Their outcomes."""
        return observed_values(self.outcomes, [item.metrics for item in self.measured if item.metrics])

    @cached_property
    def variances(self) -> Sequence[Float64[Tensor, "n 1"] | None]:
        """Their noise variances, by outcome; None where some are not given."""
        return observed_variances(self.outcomes, self.measured)

    @cached_property
    def reference(self) -> Float64[Tensor, " objectives"]:
        """The reference point of the hypervolume."""
        return reference_values(self.problem, self.outcomes, self.Y)

    @cached_property
    def sources(self) -> Mapping[str, Sequence[SourceObservations]]:
        """What former studies observed of each modelled outcome, by metric."""
        return {
            outcome.metric: [
                observed
                for source in self.problem.sources
                if (observed := self._of_source(source, outcome)) is not None
            ]
            for outcome in self.outcomes
            if not outcome.exact
        }

    def rows_of(self, parameterizations: Sequence[Parameterization]) -> Float64[Tensor, "c dk"]:
        """Return the rows of canonical parameterizations."""
        return self.rows_at(self.problem.grid.codes(parameterizations))

    def rows_at(self, codes: Codes) -> Float64[Tensor, "c dk"]:
        """Return the rows of candidates."""
        return torch.cat([self.features_at(codes), self.exact_at(codes)], dim=1)

    def features_at(self, codes: Codes) -> Float64[Tensor, "c d"]:
        """Return what a Gaussian process reads of candidates."""
        return features(self.problem.grid, self.spelled(codes))

    def spelled(self, codes: Codes) -> Codes:
        """Return candidates as the models read them: what is one configuration, in one spelling."""
        spelled = self.problem.spelled
        return codes if spelled is None else spelled(Candidates(self.problem.grid, codes))

    def exact_at(self, codes: Codes) -> Float64[Tensor, "c k"]:
        """Return the exact outcomes of candidates."""
        return exact_values(self.problem, self.outcomes, Candidates(self.problem.grid, codes))

    def _of_source(self, source: Source, outcome: Outcome) -> SourceObservations | None:
        observed = [
            (observation.parameterization, observation.metrics)
            for observation in source.observations
            if observation.metrics is not None
            and outcome.metric in observation.metrics
            # A former study need not have taken the metric on a scale on which only positive values lie.
            and outcome.has_place_for(observation.metrics[outcome.metric])
        ]
        if not observed:
            return None
        grid = self.problem.grid
        X = self.features_at(grid.codes([parameterization for parameterization, _ in observed]))
        y = observed_values([outcome], [metrics for _, metrics in observed]).squeeze(-1)
        return SourceObservations(source.study_id, X, y)


def features(grid: Grid, codes: Codes) -> Float64[Tensor, "c d"]:
    """Return the features of candidates as they are spelled."""
    return torch.from_numpy(with_share(grid, grid.encode(codes)))


def with_share(grid: Grid, X: Float64[np.ndarray, "c e"]) -> Float64[np.ndarray, "c d"]:
    """Append the share of switches that are on to encoded candidates, if there are several switches."""
    columns = [grid.columns[place] for place in switches(grid)]
    if len(columns) < SWITCHES_WITH_A_SHARE:
        return X
    return np.concatenate([X, X[:, columns].mean(axis=1, keepdims=True)], axis=1)
