"""What the modules of a configuration add to a forward pass: a known cost, exact for our own modules.

Floating-point operations for each token, two for a multiplication with its addition, in the matrix
products of the modules and the factors and shifts; biases, nonlinearities and the head are left out,
and so is the backbone, which costs the same whatever is trained. A prefix costs what its formula says; in
families where it enters through the projections more is computed. LoRA and scale and shift cost this
much until they are merged into the backbone, and nothing then.
"""

from collections.abc import Mapping

from api_schemas.backbones import BackboneShape, projections
from api_schemas.peft_methods import PeftMethod
from api_schemas.trainable_parameters import Number
from api_schemas.trial_configuration import TrialConfiguration


def adapter_flops(configuration: TrialConfiguration, *, shape: BackboneShape) -> int | None:
    """Count the operations that a configuration adds for each token; None for a library's method."""
    peft = configuration.peft
    if peft.method is not PeftMethod.MODULES:
        return None
    added = (
        layer_flops(
            serial_adapter=peft.serial_adapter.size_at(layer),
            parallel_adapter=peft.parallel_adapter.size_at(layer),
            prefix_tuning=peft.prefix_tuning.size_at(layer),
            compacter=peft.compacter.size_at(layer),
            scale_shift=peft.scale_shift.size_at(layer),
            ranks=peft.lora.ranks_at(layer).present(),
            shape=shape,
        )
        for layer in range(shape.layers)
        if peft.is_active(layer)
    )
    return int(sum(added))


def layer_flops(
    *,
    serial_adapter: Number,
    parallel_adapter: Number,
    prefix_tuning: Number,
    compacter: Number,
    scale_shift: Number,
    ranks: Mapping[str, Number],
    shape: BackboneShape,
) -> Number:
    """Count the operations that modules of these sizes add in one layer, for each token."""
    by_role = projections(shape)
    # A bottleneck multiplies down and up; a prefix is scored by each query and then averaged.
    total = 4 * shape.hidden_size * (serial_adapter + parallel_adapter + compacter)
    total = total + 4 * shape.query_size * prefix_tuning
    total = total + scale_shift * 2 * sum(item.outputs for item in by_role.values())
    return total + sum(
        2 * rank * (by_role[role].inputs + by_role[role].outputs) for role, rank in ranks.items()
    )
