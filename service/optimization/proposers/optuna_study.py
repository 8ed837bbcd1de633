"""A problem and its observations as an Optuna study, for the proposers that are Optuna's samplers.

Counts and sizes are handed over as log10, everything as an objective to maximise. An ordinal becomes
the integer of its position: Optuna has no ordered categories. A switch is a category, as are the
values of a categorical, by their positions: Optuna takes `True` and `1` for one value.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from api_schemas.proposals import Proposer
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from service.optimization.candidates import neighbours
from service.optimization.outcomes import Outcome, outcomes_of, signed_bound
from service.optimization.pool import Admission
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.in_turn import generator, propose_in_turn

ASKS = 32
"""Answers that may all be old or beyond the limits before the last one's neighbours are taken."""

Attributes = Callable[[int], Mapping[str, Any]]
"""What the sampler itself would have noted on the observation at a position."""


def propose_by_asking(
    sampler: Callable[[int], BaseSampler],
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float,
    generated_by: Proposer,
    attributes: Attributes = lambda _: {},
) -> list[Suggestion]:
    """Ask a sampler, which is made from a seed, for one trial after another."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    past = _finished_trials(problem, observations, attributes)

    def pick(admission: Admission, waiting: Sequence[Parameterization]) -> Parameterization | None:
        rng = generator(generated_by, seed, len(observations) + len(waiting))
        with warnings.catch_warnings():
            # Some options of a sampler are experimental; which ones are used is settled here.
            warnings.simplefilter("ignore", ExperimentalWarning)
            study = optuna.create_study(
                directions=["maximize"] * len(problem.objectives), sampler=sampler(rng.getrandbits(32))
            )
            study.add_trials([*past, *(_running_trial(problem.search_space, values) for values in waiting)])
            for _ in range(ASKS):
                trial = study.ask()
                asked = _asked(problem.search_space, trial)
                new = admission.admit([asked])
                if new:
                    return new[0]
                study.tell(trial, state=TrialState.FAIL)
        around = list(neighbours(problem.search_space, asked, rng=rng))
        rng.shuffle(around)
        return next(iter(admission.admit(around)), None)

    return propose_in_turn(
        pick,
        problem,
        observations,
        pending=pending,
        count=count,
        seed=seed,
        time_limit_seconds=time_limit_seconds,
        generated_by=generated_by,
    )


def _finished_trials(
    problem: Problem, observations: Sequence[Observation], attributes: Attributes
) -> list[FrozenTrial]:
    outcomes = outcomes_of(problem)
    values = [_values(problem, outcomes, observation) for observation in observations]
    violations = [_violations(problem, outcomes, observation) for observation in observations]
    measured = [row for row in values if row is not None]
    # What an infeasible trial would have scored is unknown. Samplers set it aside for its violation,
    # which is larger than any that was measured; values they want all the same.
    worst = [min(column) for column in zip(*measured, strict=True)] or [0.0] * len(problem.objectives)
    largest = max((sum(max(0.0, value) for value in row.values()) for row in violations), default=0.0)
    any_infeasible = len(measured) < len(values)
    return [
        create_trial(
            params=_internal(problem.search_space, observation.parameterization),
            distributions=_distributions(problem.search_space, observation.parameterization),
            values=worst if row is None else row,
            constraints=violation
            | ({"infeasible": 1.0 + largest if row is None else 0.0} if any_infeasible else {}),
            system_attrs=dict(attributes(position)),
        )
        for position, (observation, row, violation) in enumerate(
            zip(observations, values, violations, strict=True)
        )
    ]


def _values(problem: Problem, outcomes: Sequence[Outcome], observation: Observation) -> list[float] | None:
    if observation.metrics is None:
        return None
    return [
        outcome.value(observation.metrics[outcome.metric]) for outcome in outcomes[: len(problem.objectives)]
    ]


def _violations(problem: Problem, outcomes: Sequence[Outcome], observation: Observation) -> dict[str, float]:
    if observation.metrics is None:
        return {}
    by_metric = {outcome.metric: outcome for outcome in outcomes}
    found = {}
    for position, constraint in enumerate(problem.constraints):
        outcome = by_metric[constraint.metric]
        sign, offset = signed_bound(outcome, constraint.op, constraint.bound)
        value = outcome.value(observation.metrics[constraint.metric])
        found[f"{position} {constraint.metric}"] = sign * value + offset
    return found


def _running_trial(space: SearchSpace, parameterization: Parameterization) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params=_internal(space, parameterization),
        distributions=_distributions(space, parameterization),
    )


def _asked(space: SearchSpace, trial: Trial) -> Parameterization:
    """Ask for the active parameters, in their order: a condition's parent stands before it."""
    values: Parameterization = {}
    for parameter in space.parameters:
        # Any value at all makes an active parameter stay.
        tried = space.active(values | {parameter.name: False})
        if parameter.name in tried:
            values[parameter.name] = _value(parameter, _suggested(trial, parameter))
    return values


def _suggested(trial: Trial, parameter: Parameter) -> int | float:
    distribution = _distribution(parameter)
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(parameter.name, distribution.low, distribution.high, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(parameter.name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, CategoricalDistribution)  # noqa: S101  the only one left
    chosen = trial.suggest_categorical(parameter.name, distribution.choices)
    assert isinstance(chosen, int)  # noqa: S101  categories are positions
    return chosen


def _distributions(space: SearchSpace, values: Parameterization) -> dict[str, BaseDistribution]:
    return {
        parameter.name: _distribution(parameter) for parameter in space.parameters if parameter.name in values
    }


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, FloatParameter):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, IntParameter):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, OrdinalParameter):
        return IntDistribution(0, len(parameter.choices) - 1)
    return CategoricalDistribution(range(len(_choices(parameter))))


def _internal(space: SearchSpace, values: Parameterization) -> dict[str, int | float]:
    return {
        parameter.name: _position(parameter, values[parameter.name])
        for parameter in space.parameters
        if parameter.name in values
    }


def _position(parameter: Parameter, value: ParameterValue) -> int | float:
    if isinstance(parameter, FloatParameter):
        return float(value)
    if isinstance(parameter, IntParameter):
        return int(value)
    return next(
        position
        for position, choice in enumerate(_choices(parameter))
        if choice == value and isinstance(choice, bool) == isinstance(value, bool)
    )


def _value(parameter: Parameter, position: int | float) -> ParameterValue:
    if isinstance(parameter, FloatParameter | IntParameter):
        return position
    return _choices(parameter)[int(position)]


def _choices(
    parameter: BoolParameter | OrdinalParameter | CategoricalParameter,
) -> Sequence[ParameterValue]:
    return (False, True) if isinstance(parameter, BoolParameter) else parameter.choices
