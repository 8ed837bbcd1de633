"""Exact metrics of many candidates at once, for the optimiser: the formulas of the contract over columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from api_schemas import network_costs
from api_schemas.architecture import FFN_WIDTH, KEEP_LAYERS, Architecture, kept_shape
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
MAX_LENGTH = "training.max_length"

Counts = Float64[np.ndarray, " n"]
Count = Callable[[Candidates, BackboneShape], Any]
"""Counts candidates whose feed-forward blocks are as wide as the shape's."""


def exact_metrics(
    base: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> Mapping[str, Callable[[Candidates], Counts]]:
    """Return the metrics of a study that need no trial and are known, of candidates patched over its base."""

    def trained(candidates: Candidates, shape: BackboneShape) -> Any:
        return trained_scalars(_columns(candidates, base), shape=shape, classes=classes)

    def added(candidates: Candidates, shape: BackboneShape) -> Any:
        return added_flops(_columns(candidates, base), shape=shape)

    def parameters(candidates: Candidates, shape: BackboneShape) -> Any:
        return network_costs.model_parameters(_columns(candidates, base), shape=shape, classes=classes)

    def operations(candidates: Candidates, shape: BackboneShape) -> Any:
        length = _settings(candidates, MAX_LENGTH, base.training.max_length)
        return network_costs.flops(_columns(candidates, base), shape=shape, max_length=length)

    counts: dict[str, Count] = {
        Metric.TRAINABLE_PARAMETERS: trained,
        Metric.ADAPTER_BYTES: lambda candidates, shape: BYTES_PER_SCALAR * trained(candidates, shape),
        Metric.ADAPTER_FLOPS: added,
    }
    if network_costs.network_problem(shape) is None:
        counts |= {Metric.MODEL_PARAMETERS: parameters, Metric.FLOPS: operations}
    return {metric: _by_width(count, base=base, shape=shape) for metric, count in counts.items()}


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


def _by_width(
    count: Count, *, base: TrialConfiguration, shape: BackboneShape
) -> Callable[[Candidates], Counts]:
    """Return a count of any candidates: those of one width at a time, which some formulas need whole."""
    fixed = None if base.architecture is None else base.architecture.ffn_width

    def at(width: int | None) -> BackboneShape:
        # How many layers stay is a column of the candidates.
        return kept_shape(shape, Architecture(keep_layers=shape.layers, ffn_width=width))

    def values(candidates: Candidates) -> Counts:
        if not candidates.has(FFN_WIDTH):
            return _one_for_each(candidates, count(candidates, at(fixed)))
        widths = _settings(candidates, FFN_WIDTH, fixed or shape.ffn_size)
        counted = np.empty(len(candidates))
        for width in np.unique(widths):
            rows = np.flatnonzero(widths == width)
            alike = Candidates(candidates.grid, candidates.codes[rows])
            counted[rows] = _one_for_each(alike, count(alike, at(int(width))))
        return counted

    return values


def _columns(candidates: Candidates, base: TrialConfiguration) -> Configurations:
    kept = base.architecture

    def read(path: str) -> Any:
        return _settings(candidates, f"peft.{path}", value_at(base.peft, path))

    return Configurations(
        base.peft,
        _methods(candidates, base.peft),
        read,
        None if kept is None else _settings(candidates, KEEP_LAYERS, kept.keep_layers),
    )


def _settings(candidates: Candidates, name: str, otherwise: Any) -> Any:
    """Return what candidates have of a setting: a column, or what they all have where it is not searched."""
    if not candidates.has(name):
        return otherwise
    values = candidates.values(name).astype(float)
    active = candidates.active(name)
    return values if active.all() else np.where(active, values, float(otherwise))


def _methods(candidates: Candidates, base: Peft) -> Mapping[PeftMethod, Any]:
    """Return which candidates have each method."""
    if not candidates.has(METHOD):
        return {base.method: 1}
    chosen = candidates.values(METHOD)
    return {PeftMethod(name): chosen == name for name in sorted(set(chosen.tolist()))}


def _one_for_each(candidates: Candidates, counted: Any) -> Counts:
    return np.broadcast_to(np.asarray(counted, dtype=float), len(candidates)).copy()
