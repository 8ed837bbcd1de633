"""Exact metrics of many candidates at once, for the optimiser: the formulas of the contract over columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from api_schemas.backbones import BackboneShape
from api_schemas.exact_metrics import BYTES_PER_SCALAR
from api_schemas.objectives import Metric, Objective
from api_schemas.peft.counts import Configurations, added_flops, trained_scalars, value_at
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration
from service.expressions.checks import Fits, is_logarithmic, is_metric
from service.expressions.evaluation import evaluate
from service.expressions.tree import Node
from service.optimization.grid import Candidates

METHOD = "peft.method"

Counts = Float64[np.ndarray, " n"]


def exact_metrics(
    base: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> Mapping[str, Callable[[Candidates], Counts]]:
    """Return the metrics of a study that need no trial, of candidates patched over its base."""

    def parameters(candidates: Candidates) -> Counts:
        counted = trained_scalars(_columns(candidates, base.peft), shape=shape, classes=classes)
        return _one_for_each(candidates, counted)

    def flops(candidates: Candidates) -> Counts:
        return _one_for_each(candidates, added_flops(_columns(candidates, base.peft), shape=shape))

    return {
        Metric.TRAINABLE_PARAMETERS: parameters,
        Metric.ADAPTER_BYTES: lambda candidates: BYTES_PER_SCALAR * parameters(candidates),
        Metric.ADAPTER_FLOPS: flops,
    }


def expression_metrics(
    expressions: Mapping[str, Node], *, objectives: Sequence[Objective]
) -> Mapping[str, Callable[[Candidates], Counts]]:
    """Return the metrics of a custom study that its expressions compute; NaN where they cannot be used."""
    logarithmic = {objective.metric for objective in objectives if objective.log}

    def known(node: Node, *, fits: Fits) -> Callable[[Candidates], Counts]:
        def values(candidates: Candidates) -> Counts:
            computed = evaluate(node, candidates)
            return np.where(fits(computed), computed, np.nan)

        return values

    return {
        metric: known(node, fits=is_logarithmic if metric in logarithmic else is_metric)
        for metric, node in expressions.items()
    }


def _columns(candidates: Candidates, base: Peft) -> Configurations:
    def read(path: str) -> Any:
        name = f"peft.{path}"
        if not candidates.has(name):
            return value_at(base, path)
        values = candidates.values(name).astype(float)
        active = candidates.active(name)
        return values if active.all() else np.where(active, values, float(value_at(base, path)))

    return Configurations(base, _methods(candidates, base), read)


def _methods(candidates: Candidates, base: Peft) -> Mapping[PeftMethod, Any]:
    """Return which candidates have each method."""
    if not candidates.has(METHOD):
        return {base.method: 1}
    chosen = candidates.values(METHOD)
    return {PeftMethod(name): chosen == name for name in sorted(set(chosen.tolist()))}


def _one_for_each(candidates: Candidates, counted: Any) -> Counts:
    return np.broadcast_to(np.asarray(counted, dtype=float), len(candidates)).copy()
