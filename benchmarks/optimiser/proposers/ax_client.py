"""Ax through its Client, method "fast" (Gaussian processes, qLogNEHVI).

Ordinals go in as ordered choices of 0..K-1: Ax keeps numeric choices at their values, so sizes
0, 1, 3 ... 768 themselves would lie in the first few hundredths of a linear axis. The reference
point goes in as objective thresholds, constraints as outcome constraints, a known metric with a
standard error of 0. Names are p0, m0 and so on because Ax parses objectives as expressions.
"""

import logging
from collections.abc import Mapping

import torch
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.utils.common.logger import set_ax_logger_levels

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
from benchmarks.optimiser.proposers.proposer import reference_costs, told_costs, violations

INITIALIZATION_BUDGET = 10
"""Ax's own default is 5; the other optimisers with a model start from 10."""


def ax(problem: BenchmarkProblem, seed: int) -> "_Ax":
    """Start from the centre and a Sobol sequence, 10 trials in all, then optimise qLogNEHVI."""
    return _Ax(problem, seed)


class _Ax:
    def __init__(self, problem: BenchmarkProblem, seed: int) -> None:
        set_ax_logger_levels(logging.ERROR)
        # Client(random_seed=...) would start every acquisition search from the same random points.
        torch.manual_seed(seed)
        self.problem = problem
        self.client = Client()
        self.client.configure_experiment(
            parameters=[_config(at, one) for at, one in enumerate(problem.search_space.parameters)]
        )
        names = [f"m{at}" for at in range(len(problem.objectives))]
        thresholds = [
            f"{name} <= {worst!r}"
            for name, worst in zip(names, map(float, reference_costs(problem)), strict=True)
        ]
        limits = [f"c{at} <= 0.0" for at in range(len(problem.constraints))]
        self.client.configure_optimization(
            objective=", ".join(f"-{name}" for name in names), outcome_constraints=[*thresholds, *limits]
        )
        self.client.configure_generation_strategy(
            initialization_budget=INITIALIZATION_BUDGET, initialization_random_seed=seed
        )
        self.asked: int | None = None

    def ask(self) -> Parameterization:
        [(self.asked, values)] = self.client.get_next_trials(max_trials=1).items()
        return {
            one.name: _value(one, values[f"p{at}"])
            for at, one in enumerate(self.problem.search_space.parameters)
        }

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        index, self.asked = self.asked, None
        if index is None:
            index = self.client.attach_trial(
                {
                    f"p{at}": _position(one, parameterization[one.name])
                    for at, one in enumerate(self.problem.search_space.parameters)
                }
            )
        if metrics is None:
            self.client.mark_trial_abandoned(index)
            return
        data: dict[str, float | tuple[float, float]] = {}
        for at, cost in enumerate(told_costs(self.problem, metrics)):
            known = self.problem.objectives[at].metric in self.problem.exact_metrics
            data[f"m{at}"] = (cost, 0.0) if known else cost
        data |= {f"c{at}": value for at, value in enumerate(violations(self.problem, metrics))}
        self.client.complete_trial(index, raw_data=data)


def _config(at: int, parameter: Parameter) -> RangeParameterConfig | ChoiceParameterConfig:
    name = f"p{at}"
    match parameter:
        case FloatParameter():
            return RangeParameterConfig(
                name=name,
                bounds=(parameter.low, parameter.high),
                parameter_type="float",
                scaling="log" if parameter.log else None,
            )
        case IntParameter():
            return RangeParameterConfig(
                name=name,
                bounds=(parameter.low, parameter.high),
                parameter_type="int",
                scaling="log" if parameter.log else None,
            )
        case BoolParameter():
            return ChoiceParameterConfig(name=name, values=[0, 1], parameter_type="int", is_ordered=True)
        case OrdinalParameter() | CategoricalParameter():
            return ChoiceParameterConfig(
                name=name,
                values=list(range(len(parameter.choices))),
                parameter_type="int",
                is_ordered=isinstance(parameter, OrdinalParameter),
            )


def _value(parameter: Parameter, raw: ParameterValue) -> ParameterValue:
    match parameter:
        case BoolParameter():
            return bool(raw)
        case OrdinalParameter() | CategoricalParameter():
            return parameter.choices[int(raw)]
        case _:
            return raw


def _position(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    match parameter:
        case BoolParameter():
            return int(value)
        case OrdinalParameter() | CategoricalParameter():
            return parameter.choices.index(value)
        case _:
            return value
