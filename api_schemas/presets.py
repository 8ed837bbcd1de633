"""Search spaces that come with Paretune, expanded to plain parameters for a backbone of any shape."""

from collections.abc import Callable, Mapping
from functools import partial

from api_schemas.architecture_presets import depth_preset, depth_width_preset, grouped_preset, joint_preset
from api_schemas.backbones import ROLES, BackboneShape
from api_schemas.peft.auto_preset import auto_preset
from api_schemas.peft.methods_preset import methods_preset
from api_schemas.peft.sizes import LORA_RANKS
from api_schemas.peft.sizes import bottleneck_sizes as bottleneck_sizes
from api_schemas.search_space import (
    BoolParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    PresetName,
)
from api_schemas.trial_configuration import TrialConfiguration

LEARNING_RATE = FloatParameter(name="training.learning_rate", low=1e-4, high=5e-3, log=True)


def expand_preset(
    name: PresetName, *, shape: BackboneShape, quantised: bool = False, base: TrialConfiguration | None = None
) -> tuple[Parameter, ...]:
    """Return the parameters of a preset on a backbone of this shape, whose weights may be quantised.

    Presets that search no recipe leave that of the `base` as it is.
    """
    expansions: Mapping[PresetName, Callable[[BackboneShape], tuple[Parameter, ...]]] = {
        PresetName.AUTO: partial(auto_preset, quantised=quantised),
        PresetName.AUTOPEFT: _autopeft,
        PresetName.AUTOPEFT_BY_LAYER: _autopeft_by_layer,
        PresetName.LORA: _lora,
        PresetName.LORA_BY_LAYER: _lora_by_layer,
        PresetName.METHODS: methods_preset,
        PresetName.DEPTH: partial(depth_preset, base=base),
        PresetName.DEPTH_WIDTH: partial(depth_width_preset, base=base),
        PresetName.GROUPED: partial(grouped_preset, base=base),
        PresetName.JOINT: partial(joint_preset, quantised=quantised),
    }
    return expansions[name](shape)


def _autopeft(shape: BackboneShape) -> tuple[Parameter, ...]:
    sizes = bottleneck_sizes(shape.hidden_size)
    return (
        OrdinalParameter(name="peft.serial_adapter.bottleneck_size", choices=sizes),
        OrdinalParameter(name="peft.parallel_adapter.bottleneck_size", choices=sizes),
        OrdinalParameter(name="peft.prefix_tuning.length", choices=sizes),
        *_layer_switches(shape),
    )


def _autopeft_by_layer(shape: BackboneShape) -> tuple[Parameter, ...]:
    # Every second size: the neighbours of a size differ by less than the noise of one seed.
    sizes = bottleneck_sizes(shape.hidden_size)[::2]
    modules = ("serial_adapter", "parallel_adapter", "prefix_tuning")
    return (
        *_first_active_layer(shape),
        *(
            OrdinalParameter(name=f"peft.{module}.by_layer.{layer}", choices=sizes)
            for layer in range(shape.layers)
            for module in modules
        ),
        LEARNING_RATE,
    )


def _lora_by_layer(shape: BackboneShape) -> tuple[Parameter, ...]:
    return (
        *(
            OrdinalParameter(name=f"peft.lora.by_layer.{layer}.{role}", choices=(0, *LORA_RANKS))
            for layer in range(shape.layers)
            for role in ROLES
        ),
        LEARNING_RATE,
    )


def _first_active_layer(shape: BackboneShape) -> tuple[IntParameter, ...]:
    if shape.layers == 1:
        return ()
    return (IntParameter(name="peft.first_active_layer", low=0, high=shape.layers - 1),)


def _lora(shape: BackboneShape) -> tuple[Parameter, ...]:
    return (
        OrdinalParameter(name="peft.lora.rank", choices=LORA_RANKS),
        *(BoolParameter(name=f"peft.lora.{role}") for role in ROLES),
        *_layer_switches(shape),
        LEARNING_RATE,
    )


def _layer_switches(shape: BackboneShape) -> tuple[BoolParameter, ...]:
    return tuple(BoolParameter(name=f"peft.active_layers.{layer}") for layer in range(shape.layers))
