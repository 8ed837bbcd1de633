"""Known metrics of many candidates at once, for the optimiser: the same numbers as one by one.

Where only the sizes and switches of our own modules are searched, the sums are written out over
columns; where the method itself or a library's settings are, they are asked for each description once.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64

from api_schemas.adapter_flops import layer_flops
from api_schemas.backbones import BackboneShape, projections
from api_schemas.exact_metrics import BYTES_PER_SCALAR
from api_schemas.objectives import Metric
from api_schemas.peft import SIZE_FIELDS, Peft
from api_schemas.peft_methods import ROLES, PeftMethod
from api_schemas.trainable_parameters import bottleneck, compacter, trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.optimization.grid import Candidates

Counts = Float64[np.ndarray, " n"]


def exact_metrics(
    base: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> Mapping[str, Callable[[Candidates], Counts]]:
    """Return the metrics of a study that need no trial."""
    counted = partial(trained_scalars, base=base, shape=shape, classes=classes)
    return {
        Metric.TRAINABLE_PARAMETERS: counted,
        Metric.ADAPTER_BYTES: lambda candidates: BYTES_PER_SCALAR * counted(candidates),
        Metric.ADAPTER_FLOPS: partial(added_flops, base=base, shape=shape),
    }


def added_flops(candidates: Candidates, *, base: TrialConfiguration, shape: BackboneShape) -> Counts:
    """Count the operations for each token that each candidate adds. The method is `modules`."""
    columns = _Columns(candidates, base.peft)
    total = np.zeros(len(candidates))
    for layer in range(shape.layers):
        sizes = {name: columns.size(name, layer) for name in SIZE_FIELDS if name != "lora"}
        ranks = {role: columns.rank(role, layer) for role in ROLES}
        total += columns.active(layer) * layer_flops(**sizes, ranks=ranks, shape=shape)
    return total


def trained_scalars(
    candidates: Candidates, *, base: TrialConfiguration, shape: BackboneShape, classes: int
) -> Counts:
    """Count the trained scalars of each candidate, patched over the base."""
    described = "peft.method", "peft.library"
    searched = any(name.startswith(described) for name in candidates.grid.names)
    if searched or base.peft.method is not PeftMethod.MODULES:
        return _one_by_one(candidates, base=base, shape=shape, classes=classes)
    columns = _Columns(candidates, base.peft)
    total = np.full(len(candidates), float(shape.hidden_size * classes + classes))
    shared = np.zeros(len(candidates), dtype=bool)
    for layer in range(shape.layers):
        active = columns.active(layer)
        total += active * _layer(columns, layer, shape=shape)
        shared |= active & (columns.size("compacter", layer) > 0)
    return np.asarray(
        total + shared * columns.column("compacter.division", base.peft.compacter.division) ** 3
    )


class _Columns:
    """The fields of `peft` by column: what the space searches, else what the base says."""

    def __init__(self, candidates: Candidates, base: Peft) -> None:
        self.candidates = candidates
        self.base = base

    def column(self, field: str, base: float) -> Counts:
        """Return a numeric field."""
        name = f"peft.{field}"
        if not self.candidates.has(name):
            return np.full(len(self.candidates), float(base))
        values = self.candidates.values(name).astype(float)
        return np.where(self.candidates.active(name), values, float(base))

    def active(self, layer: int) -> Bool[np.ndarray, " n"]:
        """Return which candidates may carry modules in a layer."""
        listed = self.base.active_layers
        on = self.column(f"active_layers.{layer}", 1.0 if listed is None else listed[layer]) > 0
        return np.asarray(on & (layer >= self.column("first_active_layer", self.base.first_active_layer)))

    def size(self, module: str, layer: int) -> Counts:
        """Return the size of a module in a layer."""
        section = getattr(self.base, module)
        if section.by_layer is not None:
            return self.column(f"{module}.by_layer.{layer}", section.by_layer[layer])
        field = SIZE_FIELDS[module][0]
        return self.column(f"{module}.{field}", getattr(section, field))

    def rank(self, role: str, layer: int) -> Counts:
        """Return the LoRA rank of a projection in a layer."""
        lora = self.base.lora
        if lora.by_layer is not None:
            return self.column(f"lora.by_layer.{layer}.{role}", getattr(lora.by_layer[layer], role))
        chosen = self.column(f"lora.{role}", getattr(lora, role))
        return np.asarray(self.column("lora.rank", lora.rank) * chosen)


def _layer(columns: _Columns, layer: int, *, shape: BackboneShape) -> Counts:
    hidden = shape.hidden_size
    by_role = projections(shape)
    total = 2 * columns.size("prefix_tuning", layer) * shape.key_value_size
    for module, count in (
        ("serial_adapter", bottleneck), ("parallel_adapter", bottleneck), ("compacter", compacter),
    ):  # fmt: skip
        size = columns.size(module, layer)
        total = total + (size > 0) * count(size, hidden_size=hidden)
    for role in ROLES:
        total = total + columns.rank(role, layer) * (by_role[role].inputs + by_role[role].outputs)
    outputs = sum(item.outputs for item in by_role.values())
    return np.asarray(total + columns.size("scale_shift", layer) * 2 * outputs)


def _one_by_one(
    candidates: Candidates, *, base: TrialConfiguration, shape: BackboneShape, classes: int
) -> Counts:
    # Candidates that differ only in how they are trained count alike.
    places = [place for name, place in candidates.grid.names.items() if name.startswith("peft.")]
    _, first, inverse = np.unique(candidates.codes[:, places], axis=0, return_index=True, return_inverse=True)
    distinct = candidates.grid.parameterizations(candidates.codes[first])
    counts = [
        trainable_parameters(canonical(patch(base, values)), shape=shape, classes=classes)
        for values in distinct
    ]
    return np.asarray(np.array(counts, dtype=float)[inverse.reshape(-1)])
