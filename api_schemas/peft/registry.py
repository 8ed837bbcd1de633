"""The registry of PEFT methods: a row of `PeftMethod`, or of `Peft` for a module of our own.

A method of `PeftMethod` is alone in its trial; modules of our own may stand together. Everything else about
a method is in its own file.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.json_values import Integer
from api_schemas.peft import (
    adalora,
    bitfit,
    boft,
    dora,
    fourierft,
    full,
    hra,
    ia3,
    ln_tuning,
    loha,
    lokr,
    lora,
    miss,
    oft,
    olora,
    p_tuning,
    pissa,
    prompt_tuning,
    randlora,
    rslora,
    vblora,
    vera,
)
from api_schemas.peft.compacter import Compacter
from api_schemas.peft.lora import Lora
from api_schemas.peft.method import LibrarySettings, Method
from api_schemas.peft.own_module import LAYERS_LIMIT, OwnModule
from api_schemas.peft.parallel_adapter import ParallelAdapter
from api_schemas.peft.prefix_tuning import PrefixTuning
from api_schemas.peft.scale_shift import ScaleShift
from api_schemas.peft.serial_adapter import SerialAdapter

# Not from a paper: the middle of the rates that were best for it by hand in docs/first-searches.md.
HEAD_ALONE = Method("head only (linear probe)", learning_rate=1e-2)


class PeftMethod(StrEnum):
    """What a trial trains besides the head."""

    definition: Method

    def __new__(cls, name: str, definition: Method = HEAD_ALONE) -> Self:
        """Make a member that compares and is written as its name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.definition = definition
        return member

    MODULES = "modules", Method("modules", in_preset=False)
    """Our own modules, any union of them: the other sections of `peft`."""
    HEAD_ONLY = "head_only"
    BITFIT = "bitfit", bitfit.METHOD
    LORA = "lora", lora.METHOD
    RSLORA = "rslora", rslora.METHOD
    DORA = "dora", dora.METHOD
    PISSA = "pissa", pissa.METHOD
    OLORA = "olora", olora.METHOD
    ADALORA = "adalora", adalora.METHOD
    VERA = "vera", vera.METHOD
    IA3 = "ia3", ia3.METHOD
    LOHA = "loha", loha.METHOD
    LOKR = "lokr", lokr.METHOD
    OFT = "oft", oft.METHOD
    BOFT = "boft", boft.METHOD
    LN_TUNING = "ln_tuning", ln_tuning.METHOD
    MISS = "miss", miss.METHOD
    FOURIERFT = "fourierft", fourierft.METHOD
    VBLORA = "vblora", vblora.METHOD
    RANDLORA = "randlora", randlora.METHOD
    HRA = "hra", hra.METHOD
    PROMPT_TUNING = "prompt_tuning", prompt_tuning.METHOD
    P_TUNING = "p_tuning", p_tuning.METHOD
    FULL = "full", full.METHOD


SETTINGS: Mapping[PeftMethod, tuple[str, ...]] = {method: method.definition.settings for method in PeftMethod}
"""The settings of `library` that each method reads."""


class Peft(Schema):
    """What is trained, and the layers that carry it.

    The method `modules` reads the sections of our own modules; every other method reads `library`. A
    layer is active if `active_layers` says so (null means every layer) and it is not below
    `first_active_layer`.
    """

    method: PeftMethod = PeftMethod.MODULES
    active_layers: tuple[bool, ...] | None = Field(default=None, max_length=LAYERS_LIMIT)
    first_active_layer: Integer = Field(default=0, ge=0, le=LAYERS_LIMIT)
    serial_adapter: SerialAdapter = SerialAdapter()
    parallel_adapter: ParallelAdapter = ParallelAdapter()
    prefix_tuning: PrefixTuning = PrefixTuning()
    lora: Lora = Lora()
    compacter: Compacter = Compacter()
    scale_shift: ScaleShift = ScaleShift()
    library: LibrarySettings = LibrarySettings()

    def is_active(self, layer: int) -> bool:
        """Return whether a layer may carry modules."""
        return layer >= self.first_active_layer and (self.active_layers is None or self.active_layers[layer])

    def own_modules(self) -> Mapping[str, OwnModule]:
        """Return the sections of our own modules by name."""
        return {name: getattr(self, name) for name in OWN_MODULES}


OWN_MODULES: Mapping[str, type[OwnModule]] = {
    name: field.annotation
    for name, field in Peft.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, OwnModule)
}
"""The sections of `Peft` that are modules of our own, in the order of its rows."""
