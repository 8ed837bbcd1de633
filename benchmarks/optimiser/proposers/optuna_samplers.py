"""Optuna 5: NSGA-II, TPE and the GP sampler, set up as its documentation recommends.

Ordinals are integers 0..K-1, so that their order is kept; switches and categories are categorical.
Optuna has no way to be told that a cost is known; constraints it takes as violations.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
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
from benchmarks.optimiser.problems.problem import BenchmarkProblem
from benchmarks.optimiser.proposers.proposer import told_costs, violations

POPULATION = 20
"""NSGA-II's default of 50 would leave 60 trials with a single generation."""


def nsga2(problem: BenchmarkProblem, seed: int) -> "_Optuna":
    """Evolve a population of 20 by non-dominated sorting."""
    return _Optuna(problem, optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION))


def tpe(problem: BenchmarkProblem, seed: int) -> "_Optuna":
    """Sample jointly from tree-structured Parzen estimators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _Optuna(problem, optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True))


def gp(problem: BenchmarkProblem, seed: int) -> "_Optuna":
    """Maximise log expected hypervolume improvement; told that objectives are deterministic, as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _Optuna(problem, optuna.samplers.GPSampler(seed=seed, deterministic_objective=True))


class _Optuna:
    def __init__(self, problem: BenchmarkProblem, sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.problem = problem
        self.study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(problem.objectives))
        self.distributions = {one.name: _distribution(one) for one in problem.search_space.parameters}
        self.asked: optuna.Trial | None = None

    def ask(self) -> Parameterization:
        self.asked = self.study.ask(self.distributions)
        return {
            one.name: _value(one, self.asked.params[one.name]) for one in self.problem.search_space.parameters
        }

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        trial, self.asked = self.asked or self._enqueued(parameterization), None
        if metrics is None:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        for number, violation in enumerate(violations(self.problem, metrics)):
            trial.set_constraint(str(number), violation)
        self.study.tell(trial, told_costs(self.problem, metrics))

    def _enqueued(self, parameterization: Parameterization) -> optuna.Trial:
        self.study.enqueue_trial(
            {
                one.name: _position(one, parameterization[one.name])
                for one in self.problem.search_space.parameters
            }
        )
        return self.study.ask(self.distributions)


def _distribution(parameter: Parameter) -> BaseDistribution:
    match parameter:
        case FloatParameter():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case IntParameter():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case OrdinalParameter():
            return IntDistribution(0, len(parameter.choices) - 1)
        case CategoricalParameter():
            return CategoricalDistribution(parameter.choices)
        case BoolParameter():
            return CategoricalDistribution((False, True))


def _value(parameter: Parameter, raw: Any) -> ParameterValue:
    value: ParameterValue = parameter.choices[raw] if isinstance(parameter, OrdinalParameter) else raw
    return value


def _position(parameter: Parameter, value: ParameterValue) -> Any:
    return parameter.choices.index(value) if isinstance(parameter, OrdinalParameter) else value
