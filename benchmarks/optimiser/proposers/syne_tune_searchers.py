"""Syne Tune 0.16: its two multi-objective methods that need no intermediate results.

MO-ASHA stops trials early and so does not apply. The random-scalarisation and multi-surrogate
Bayesian optimisers of older versions no longer import in 0.16. Neither method takes constraints or
known costs: a trial that breaks a limit is told as the reference point.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
from syne_tune.optimizer.schedulers.multiobjective.expected_hyper_volume_improvement import (
    ExpectedHyperVolumeImprovement,
)

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
from benchmarks.optimiser.hypervolume import feasible
from benchmarks.optimiser.problems.problem import BenchmarkProblem
from benchmarks.optimiser.proposers.proposer import reference_costs, told_costs

POPULATION, SAMPLE = 20, 5
"""The default population of 100 would make all of 60 trials random draws."""

INITIAL_TRIALS = 10
"""Syne Tune's own default is 3; the other optimisers with a model start from 10."""

EHVI_REFERENCE = -2.0
"""The searcher's reference point is fixed at 2 for negated costs; ours is moved there."""


def morea(problem: BenchmarkProblem, seed: int) -> "_SyneTune":
    """Regularised evolution whose parents are picked by non-dominated sorting."""
    # Its first draws come from NumPy's global generator.
    np.random.seed(seed)
    searcher = MultiObjectiveRegularizedEvolution(
        _space(problem), population_size=POPULATION, sample_size=SAMPLE, random_seed=seed
    )
    return _SyneTune(problem, searcher)


def ehvi(problem: BenchmarkProblem, seed: int) -> "_SyneTune":
    """Maximise BoTorch's qLogEHVI on a continuous relaxation."""
    np.random.seed(seed)
    searcher = ExpectedHyperVolumeImprovement(
        _space(problem), num_init_random=INITIAL_TRIALS, random_seed=seed
    )
    return _SyneTune(problem, searcher)


class _SyneTune:
    def __init__(self, problem: BenchmarkProblem, searcher: Any) -> None:
        self.problem = problem
        self.searcher = searcher
        self.told = 0
        self.asked: dict[str, Any] | None = None

    def ask(self) -> Parameterization:
        with _double_precision():
            self.asked = dict(self.searcher.suggest())
        return {one.name: _value(one, self.asked[one.name]) for one in self.problem.search_space.parameters}

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        config, self.asked = self.asked, None
        if config is None:
            config = {
                one.name: _position(one, parameterization[one.name])
                for one in self.problem.search_space.parameters
            }
            if isinstance(self.searcher, ExpectedHyperVolumeImprovement):
                self.searcher.trial_configs[self.told] = config
        reference = reference_costs(self.problem)
        kept = metrics is not None and feasible(self.problem.constraints, metrics)
        told = np.array(told_costs(self.problem, metrics)) if metrics and kept else reference
        shifted = (told - reference + EHVI_REFERENCE).tolist()
        self.searcher.on_trial_complete(self.told, config, shifted)
        self.told += 1


@contextmanager
def _double_precision() -> Iterator[None]:
    """Let the searcher build double tensors: BoTorch 0.18 refuses its single ones."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _space(problem: BenchmarkProblem) -> dict[str, Any]:
    return {one.name: _domain(one) for one in problem.search_space.parameters}


def _domain(parameter: Parameter) -> Any:
    match parameter:
        case FloatParameter():
            return (loguniform if parameter.log else uniform)(parameter.low, parameter.high)
        case IntParameter():
            return (lograndint if parameter.log else randint)(parameter.low, parameter.high)
        case OrdinalParameter():
            return randint(0, len(parameter.choices) - 1)
        case CategoricalParameter():
            return choice(list(parameter.choices))
        case BoolParameter():
            return choice([False, True])


def _value(parameter: Parameter, raw: Any) -> ParameterValue:
    match parameter:
        case OrdinalParameter():
            return parameter.choices[int(raw)]
        case FloatParameter():
            return float(raw)
        case IntParameter():
            return int(raw)
        case BoolParameter():
            return bool(raw)
        case CategoricalParameter():
            return next(choice for choice in parameter.choices if choice == raw)


def _position(parameter: Parameter, value: ParameterValue) -> Any:
    return parameter.choices.index(value) if isinstance(parameter, OrdinalParameter) else value
