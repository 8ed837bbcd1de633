"""One trial of Optuna as one observation, or the reason why it is none. Knows no storage and no server."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.backbones import BackboneShape
from api_schemas.objectives import (
    KNOWN_METRICS,
    LARGEST_METRIC,
    RESERVED_METRICS,
    Objective,
    OutcomeConstraint,
    is_metric_name,
)
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from paretune.optuna_bridge.names import (
    INFEASIBLE,
    REASON,
    constraint_key,
    from_violation,
)
from paretune.optuna_bridge.spaces import value_of
from paretune.printable import encodable

MOST_METRICS = 100
LONGEST_REASON = 2000


@dataclass(frozen=True)
class Target:
    """What a trial must fit, and what is called how there.

    `parameters` and `constraint_metrics` map Optuna's names; `metrics` names the objectives in Optuna's
    order. `switches` are parameters of ours that say whether a trial has the one that they name. Trials of
    a study with a configuration are the same if they train the same.
    """

    search_space: SearchSpace
    objectives: Sequence[Objective]
    constraints: Sequence[OutcomeConstraint]
    configuration: TrialConfiguration | None
    backbone_shape: BackboneShape | None
    parameters: Mapping[str, str]
    metrics: Sequence[str]
    constraint_metrics: Mapping[str, str]
    constants: frozenset[str]
    switches: Mapping[str, str]


@dataclass(frozen=True)
class LeftOut:
    """Why a trial is no observation; `kind` is the same for all that are left out for one reason."""

    kind: str
    example: str


def read_observation(trial: FrozenTrial, target: Target) -> ImportedObservation | LeftOut:
    """Turn a trial into what the API takes."""
    cannot_work = trial.constraints.get(INFEASIBLE, 0.0) > 0
    if trial.state is not TrialState.COMPLETE and not cannot_work:
        return _without_result(trial)
    parameters = _parameters(trial, target)
    misfit = _misfit(parameters, target.search_space)
    if misfit is not None:
        return LeftOut("outside the search space", f"trial {trial.number}: {misfit}")
    if cannot_work:
        return _infeasible(parameters, str(trial.user_attrs.get(REASON, "infeasible")))
    metrics = _metrics(trial, target)
    odd = [name for name in target.metrics if not _is_metric(metrics.get(name, 0.0))]
    if odd:
        values = ", ".join(f"{name} is {metrics[name]}" for name in odd)
        return _infeasible(parameters, f"not-a-number: trial {trial.number} of Optuna: {values}")
    unfit = _unfit_metrics(metrics, target)
    if unfit is not None:
        return LeftOut("without what the study weighs", f"trial {trial.number}: {unfit}")
    return ImportedObservation(parameters=parameters, metrics=metrics)


def key_of(observation: ImportedObservation, target: Target) -> str:
    """Return equal keys to observations that are one trial to the service."""
    parameters = target.search_space.canonical(observation.parameters)
    if target.configuration is None:
        return json.dumps(parameters, sort_keys=True)
    configuration = patch(target.configuration, parameters)
    return canonical(configuration, shape=target.backbone_shape).model_dump_json()


def merged(repeats: Sequence[ImportedObservation]) -> ImportedObservation:
    """Make one observation of several of the same parameters: the mean of those with a result."""
    with_result = [item.metrics for item in repeats if item.metrics is not None]
    if not with_result:
        return repeats[0]
    names = [name for name in with_result[0] if all(name in metrics for metrics in with_result)]
    metrics = {name: fmean(item[name] for item in with_result) for name in names}
    return ImportedObservation(parameters=repeats[0].parameters, metrics=metrics)


def is_metric_attribute(name: str, value: Any) -> bool:
    """Return whether a user attribute can be a metric: a finite number under a metric's name."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and _is_metric(value)
        and is_metric_name(name)
        and name not in RESERVED_METRICS
    )


def _without_result(trial: FrozenTrial) -> LeftOut:
    kind = {
        TrialState.PRUNED: "pruned before there was a result",
        TrialState.FAIL: "failed, which says nothing about the parameters",
    }.get(trial.state, "not finished")
    return LeftOut(kind, f"trial {trial.number}")


def _infeasible(parameters: Parameterization, reason: str) -> ImportedObservation:
    clean = encodable(reason.replace("\0", ""))[:LONGEST_REASON] or "infeasible"
    return ImportedObservation(parameters=parameters, infeasible=clean)


def _parameters(trial: FrozenTrial, target: Target) -> Parameterization:
    known = {parameter.name: parameter for parameter in target.search_space.parameters}
    found: Parameterization = {}
    for name, value in trial.params.items():
        here = target.parameters.get(name, name)
        if here in known:
            found[here] = value_of(known[here], value)
        elif name not in target.constants:
            found[here] = str(value)
    return found | {switch: name in found for switch, name in target.switches.items()}


def _misfit(parameters: Parameterization, search_space: SearchSpace) -> str | None:
    known = {parameter.name: parameter for parameter in search_space.parameters}
    for name, value in parameters.items():
        if name not in known:
            return f"the search space has no parameter '{name}'"
        if not known[name].contains(value):
            return f"{value!r} is not a value of the parameter '{name}'"
    missing = search_space.missing(parameters)
    return f"the parameter '{missing[0]}' has no value" if missing else None


def _metrics(trial: FrozenTrial, target: Target) -> dict[str, float]:
    """Collect every number of a trial; what objectives and constraints say stands first and wins."""
    own = dict(zip(target.metrics, trial.values or (), strict=False))
    attributes = {
        name: float(value) for name, value in trial.user_attrs.items() if is_metric_attribute(name, value)
    }
    found = {**own, **{name: value for name, value in attributes.items() if name not in own}}
    found |= {
        metric: trial.constraints[key]
        for key, metric in target.constraint_metrics.items()
        if _is_metric(trial.constraints.get(key, math.nan))
    }
    for constraint in target.constraints:
        key = constraint_key(constraint)
        if constraint.metric not in found and key in trial.constraints:
            found[constraint.metric] = from_violation(constraint, trial.constraints[key])
    needed = [*target.metrics, *(constraint.metric for constraint in target.constraints)]
    names = dict.fromkeys([*(name for name in needed if name in found), *found])
    return {name: found[name] for name in list(names)[:MOST_METRICS]}


def _unfit_metrics(metrics: Mapping[str, float], target: Target) -> str | None:
    weighed = [*(item.metric for item in target.objectives), *(item.metric for item in target.constraints)]
    for name in weighed:
        # The service computes it where it knows the network.
        if target.configuration is not None and name in KNOWN_METRICS:
            continue
        if name not in metrics or not _is_metric(metrics[name]):
            return f"there is no '{name}'"
    for objective in target.objectives:
        value = metrics.get(objective.metric, 1.0)
        if objective.log and value <= 0:
            return f"'{objective.metric}' is on a logarithmic scale and is {value:g}"
    return None


def _is_metric(value: float) -> bool:
    # Compared as it is: a whole number may be too large for a float.
    return abs(value) <= LARGEST_METRIC
