"""The exact number of trained scalars of a configuration: a known cost, never measured, never modelled.

Counts everything that is trained and saved: adapter weights and biases, prefixes, low-rank factors,
factors and shifts, and the linear head. (AutoPEFT leaves out biases and the head; section 3 of
arXiv 2301.12132.)
"""

from collections.abc import Callable
from typing import Any

from api_schemas.backbones import BackboneShape, projections
from api_schemas.library_parameters import library_parameters
from api_schemas.peft import SIZE_FIELDS, LoraRanks, Peft
from api_schemas.peft_methods import PeftMethod
from api_schemas.trial_configuration import TrialConfiguration

Number = Any
"""An integer, or an array of them."""


def trainable_parameters(configuration: TrialConfiguration, *, shape: BackboneShape, classes: int) -> int:
    """Count the trained scalars of a configuration on a backbone of this shape."""
    peft = configuration.peft
    head = shape.hidden_size * classes + classes
    active = [layer for layer in range(shape.layers) if peft.is_active(layer)]
    if peft.method is not PeftMethod.MODULES:
        return library_parameters(peft.method, peft.library, shape=shape, layers=len(active)) + head
    if any(getattr(peft, name).by_layer is not None for name in SIZE_FIELDS):
        modules = sum(_layer(peft, layer, shape=shape) for layer in active)
    else:
        modules = len(active) * _layer(peft, 0, shape=shape)
    shared = any(peft.compacter.size_at(layer) for layer in active)
    return modules + shared * peft.compacter.division**3 + head


def _layer(peft: Peft, layer: int, *, shape: BackboneShape) -> int:
    return (
        _if_any(bottleneck, peft.serial_adapter.size_at(layer), hidden_size=shape.hidden_size)
        + _if_any(bottleneck, peft.parallel_adapter.size_at(layer), hidden_size=shape.hidden_size)
        + 2 * peft.prefix_tuning.size_at(layer) * shape.key_value_size
        + _lora(peft.lora.ranks_at(layer), shape=shape)
        + _if_any(compacter, peft.compacter.size_at(layer), hidden_size=shape.hidden_size)
        + peft.scale_shift.size_at(layer) * 2 * sum(item.outputs for item in projections(shape).values())
    )


def bottleneck(size: Number, *, hidden_size: int) -> Number:
    """Count the scalars of a bottleneck that is there: two projections with their biases."""
    return 2 * hidden_size * size + size + hidden_size


def compacter(size: Number, *, hidden_size: int) -> Number:
    """Count the scalars of a hypercomplex bottleneck that is there, but for the shared factors.

    Rank one: each projection has a column of its inputs' width and a row of its outputs', then biases.
    """
    return 2 * (hidden_size + size) + size + hidden_size


def _if_any(count: Callable[..., int], size: int, *, hidden_size: int) -> int:
    return count(size, hidden_size=hidden_size) if size else 0


def _lora(ranks: LoraRanks, *, shape: BackboneShape) -> int:
    by_role = projections(shape)
    return sum(
        rank * (by_role[role].inputs + by_role[role].outputs) for role, rank in ranks.present().items()
    )
