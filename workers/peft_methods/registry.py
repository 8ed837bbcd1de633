"""The registry of PEFT methods: a row each, its file beside this one.

A method of `METHODS` is alone in its trial; our own modules of `MODULES` may stand together.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import nn

from api_schemas.peft.registry import Peft, PeftMethod
from workers.peft_methods import (
    adalora,
    bitfit,
    boft,
    compacter,
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
    parallel_adapter,
    pissa,
    prefix_tuning,
    prompt_tuning,
    randlora,
    rslora,
    scale_shift,
    serial_adapter,
    vblora,
    vera,
)
from workers.peft_methods.full import WeightsMethod
from workers.peft_methods.hf_layers import HfMethod
from workers.peft_methods.place import Place
from workers.peft_methods.prefix_injection import Handle
from workers.peft_methods.prompts import PromptMethod


class Hooked(Protocol):
    """A file of our own: it makes a module for one layer, and attaches it by hooks."""

    def build(self, place: Place) -> nn.Module | None:
        """Make the module of one layer, or None if the layer has none."""

    def attach(self, module: nn.Module, place: Place) -> Sequence[Handle]:
        """Register the hooks of the module of one layer."""


# In the order in which hooks are registered: a low-rank update belongs to the projection itself and a
# scale and shift to its output, so they come before whatever reads that output.
MODULES: Mapping[str, Hooked] = {
    "lora": lora,
    "scale_shift": scale_shift,
    "serial_adapter": serial_adapter,
    "compacter": compacter,
    "parallel_adapter": parallel_adapter,
    "prefix_tuning": prefix_tuning,
}

CHANGES_OF_WEIGHTS = frozenset({"lora", "scale_shift", "bitfit"})
"""Modules of our own that can be merged; they stand in the order in which they act."""

METHODS: Mapping[PeftMethod, HfMethod | PromptMethod | WeightsMethod | Hooked] = {
    PeftMethod.BITFIT: bitfit,
    PeftMethod.LORA: lora.METHOD,
    PeftMethod.RSLORA: rslora.METHOD,
    PeftMethod.DORA: dora.METHOD,
    PeftMethod.PISSA: pissa.METHOD,
    PeftMethod.OLORA: olora.METHOD,
    PeftMethod.ADALORA: adalora.METHOD,
    PeftMethod.VERA: vera.METHOD,
    PeftMethod.IA3: ia3.METHOD,
    PeftMethod.LOHA: loha.METHOD,
    PeftMethod.LOKR: lokr.METHOD,
    PeftMethod.OFT: oft.METHOD,
    PeftMethod.BOFT: boft.METHOD,
    PeftMethod.LN_TUNING: ln_tuning.METHOD,
    PeftMethod.MISS: miss.METHOD,
    PeftMethod.FOURIERFT: fourierft.METHOD,
    PeftMethod.VBLORA: vblora.METHOD,
    PeftMethod.RANDLORA: randlora.METHOD,
    PeftMethod.HRA: hra.METHOD,
    PeftMethod.PROMPT_TUNING: prompt_tuning.METHOD,
    PeftMethod.P_TUNING: p_tuning.METHOD,
    PeftMethod.FULL: full.METHOD,
}


def hooked_methods(peft: Peft) -> Mapping[str, Hooked]:
    """Return what attaches by hooks, by the name of its modules, in the order of registration."""
    if peft.method is PeftMethod.MODULES:
        return MODULES
    method = METHODS.get(peft.method)
    if method is None or isinstance(method, HfMethod | PromptMethod | WeightsMethod):
        return {}
    return {peft.method.value: method}
