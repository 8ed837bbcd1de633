"""The preset `auto`: a space that holds every answer that people use, where a study names no space.

Which method; under `modules` any union of serial adapter, parallel adapter, prefix and LoRA with its targets,
or nothing but the head; the variants of LoRA that our own module has not; BitFit; the head alone; full and
partial fine-tuning. The learning rate is a multiple of each method's own, so that methods are compared and
not their rates; alpha is twice the rank. LoRA itself is there once: through HF `peft` it is the same network.
"""

from collections.abc import Collection, Iterator

from api_schemas.backbones import ROLES, BackboneShape
from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.peft.fitness import method_problem, setting_problem
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import PeftMethod
from api_schemas.peft.sizes import LORA_RANKS, bottleneck_sizes
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    Condition,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
)

METHODS = (
    PeftMethod.MODULES,
    PeftMethod.RSLORA,
    PeftMethod.DORA,
    PeftMethod.PISSA,
    PeftMethod.BITFIT,
    PeftMethod.HEAD_ONLY,
    PeftMethod.FULL,
)
SIZES = (
    "peft.serial_adapter.bottleneck_size",
    "peft.parallel_adapter.bottleneck_size",
    "peft.prefix_tuning.length",
)
ALPHA_PER_RANK = 2.0
WIDEST_FACTOR = 8.0
"""From an eighth of a method's own rate to eight times it: for LoRA 5e-5 to 3.2e-3, as people use it."""


def auto_preset(shape: BackboneShape, *, quantised: bool) -> tuple[Parameter, ...]:
    """Return the choice of a method and its conditional settings; what cannot work here is left out."""
    fitting = [method for method in METHODS if _fits(method, shape, quantised=quantised)]
    variants = [method for method in fitting if method.definition.is_targeted]
    # At alpha / sqrt(rank) an alpha that grows with the rank would undo what rsLoRA is for.
    tied = [method for method in variants if method is not PeftMethod.RSLORA]
    layered = [method for method in fitting if method in (PeftMethod.MODULES, PeftMethod.BITFIT, *variants)]
    return (
        CategoricalParameter(name=METHOD, choices=tuple(method.value for method in fitting)),
        *_union(shape),
        *(_variants(variants, tied, shape) if variants else ()),
        *(
            BoolParameter(name=f"peft.active_layers.{layer}", when=_under(layered))
            for layer in range(shape.layers)
        ),
        *(_fine_tuning(shape) if PeftMethod.FULL in fitting else ()),
        FloatParameter(name=LEARNING_RATE_FACTOR, low=1 / WIDEST_FACTOR, high=WIDEST_FACTOR, log=True),
    )


def _fits(method: PeftMethod, shape: BackboneShape, *, quantised: bool) -> bool:
    defined = method.definition
    return method_problem(defined, shape=shape) is None and not (quantised and defined.needs_whole_weights)


def _union(shape: BackboneShape) -> Iterator[Parameter]:
    sizes, own = bottleneck_sizes(shape.hidden_size), _under([PeftMethod.MODULES])
    for path in (
        "serial_adapter.bottleneck_size",
        "parallel_adapter.bottleneck_size",
        "prefix_tuning.length",
    ):
        yield OrdinalParameter(name=f"peft.{path}", choices=sizes, when=own)
    rank = "peft.lora.rank"
    yield OrdinalParameter(name=rank, choices=(0, *LORA_RANKS), when=own)
    present = Condition.model_validate({"parameter": rank, "in": LORA_RANKS})
    for role in ROLES:
        yield BoolParameter(name=f"peft.lora.{role}", when=present)
    yield OrdinalParameter(name="peft.lora.alpha_per_rank", choices=(ALPHA_PER_RANK,), when=present)


def _variants(
    variants: Collection[PeftMethod], tied: Collection[PeftMethod], shape: BackboneShape
) -> Iterator[Parameter]:
    under = _under(variants)
    ranks = tuple(rank for rank in LORA_RANKS if all(_takes(rank, method, shape) for method in variants))
    yield OrdinalParameter(name="peft.library.rank", choices=ranks, when=under)
    for role in ROLES:
        yield BoolParameter(name=f"peft.library.{role}", when=under)
    if tied:
        yield OrdinalParameter(
            name="peft.library.alpha_per_rank", choices=(ALPHA_PER_RANK,), when=_under(tied)
        )


def _takes(rank: int, method: PeftMethod, shape: BackboneShape) -> bool:
    settings = LibrarySettings(rank=rank, **dict.fromkeys(ROLES, True))
    return setting_problem(method.definition, "rank", settings, shape=shape, max_length=1) is None


def _fine_tuning(shape: BackboneShape) -> Iterator[Parameter]:
    if shape.layers > 1:
        yield IntParameter(
            name="peft.first_active_layer", low=0, high=shape.layers - 1, when=_under([PeftMethod.FULL])
        )


def _under(methods: Collection[PeftMethod]) -> Condition:
    return Condition.model_validate({"parameter": METHOD, "in": [method.value for method in methods]})
