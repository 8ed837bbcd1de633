"""Exact metrics of many candidates at once, for the optimiser: the formulas of the contract over columns."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64

from api_schemas import network_costs
from api_schemas.architecture import FFN_WIDTH, HEADS, KEEP_LAYERS, group_ends, kept_by_depth
from api_schemas.backbones import BackboneShape
from api_schemas.exact_metrics import BYTES_PER_SCALAR
from api_schemas.objectives import Metric, Objective
from api_schemas.peft.counts import Configurations, added_flops, over_depth, trained_scalars, value_at
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration, patch, read
from service.expressions.checks import Fits, is_logarithmic, is_metric
from service.expressions.evaluation import evaluate
from service.expressions.tree import Node
from service.optimization.grid import Candidates

METHOD = "peft.method"
MAX_LENGTH = "training.max_length"
SIZES = (FFN_WIDTH, HEADS)
"""How the names begin of what a candidate keeps of each layer: widths of depth groups among them."""

Counts = Float64[np.ndarray, " n"]
Count = Callable[..., Any]
"""Counts configurations whose layers have the sizes of a `shape`."""


def exact_metrics(
    base: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> Mapping[str, Callable[[Candidates], Counts]]:
    """Return the metrics of a study that need no trial and are known, of candidates patched over its base."""
    trained = partial(trained_scalars, classes=classes)

    def stored(counted: Configurations, *, shape: BackboneShape) -> Any:
        return BYTES_PER_SCALAR * trained(counted, shape=shape)

    def operations(candidates: Candidates) -> Count:
        length = _settings(candidates, MAX_LENGTH, base.training.max_length)
        return partial(network_costs.flops, max_length=length)

    counts: dict[str, Callable[[Candidates], Count]] = {
        Metric.TRAINABLE_PARAMETERS: lambda _: trained,
        Metric.ADAPTER_BYTES: lambda _: stored,
        Metric.ADAPTER_FLOPS: lambda _: added_flops,
    }
    if network_costs.network_problem(shape) is None:
        parameters = partial(network_costs.model_parameters, classes=classes)
        counts |= {Metric.MODEL_PARAMETERS: lambda _: parameters, Metric.FLOPS: operations}
    return {metric: _by_size(count, base=base, shape=shape) for metric, count in counts.items()}


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


def _by_size(
    count: Callable[[Candidates], Count], *, base: TrialConfiguration, shape: BackboneShape
) -> Callable[[Candidates], Counts]:
    """Return a count of any candidates: those of one size at a time, which some formulas need whole."""

    def values(candidates: Candidates) -> Counts:
        searched = [name for name in candidates.grid.names if name.startswith(SIZES)]
        if not searched:
            return _one_for_each(candidates, _of_one_size(count(candidates), candidates, base, shape=shape))
        usual = read(base, searched)
        sizes = np.stack([_settings(candidates, name, usual[name]) for name in searched], axis=1)
        counted = np.empty(len(candidates))
        for size in np.unique(sizes, axis=0):
            rows = np.flatnonzero((sizes == size).all(axis=1))
            alike = Candidates(candidates.grid, candidates.codes[rows])
            kept = patch(base, dict(zip(searched, map(int, size), strict=True)))
            counted[rows] = _one_for_each(alike, _of_one_size(count(alike), alike, kept, shape=shape))
        return counted

    return values


def _of_one_size(
    count: Count, candidates: Candidates, base: TrialConfiguration, *, shape: BackboneShape
) -> Any:
    """Count candidates that keep of each layer what the base keeps; how many layers stay is a column."""
    counted = _columns(candidates, base)
    if base.architecture is None:
        return count(counted, shape=shape)
    in_all_layers = base.architecture.model_copy(update={"keep_layers": shape.layers})
    shapes = [of_group for of_group, _ in kept_by_depth(shape, in_all_layers)]
    ends = group_ends(counted.kept_layers, len(shapes))
    return over_depth(count, counted, list(zip(shapes, ends, strict=True)))


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
