"""The PEFT methods, and how a configuration of them is attached to a frozen backbone.

One file per method of our own, each with `build` and `attach`. They work through forward hooks: the
backbone's modules and the names of its weights are never touched, and detaching is removing hooks.
The methods of HF `peft` are in `library` and `prompts`; they take places and give them back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from api_schemas.peft_methods import PROMPT_METHODS, PeftMethod
from api_schemas.trial_configuration import Peft
from workers.backbones import Backbone
from workers.peft_methods import (
    bitfit,
    library,
    lora,
    parallel_adapter,
    prefix_tuning,
    prompts,
    serial_adapter,
)
from workers.task_data import Batch

# The order in which hooks are registered: a low-rank update belongs to the projection itself, so it
# comes before whatever reads the projection's output.
METHODS: Mapping[str, ModuleType] = {
    "lora": lora,
    "serial_adapter": serial_adapter,
    "parallel_adapter": parallel_adapter,
    "prefix_tuning": prefix_tuning,
    "bitfit": bitfit,
}


class TrialModules(nn.Module):
    """Everything that a trial trains: the modules of each active layer, and a linear head."""

    def __init__(self, peft: Peft, *, backbone: Backbone, classes: int, seed: int) -> None:
        super().__init__()
        generator = Generator().manual_seed(seed)
        self.peft = peft
        self.layers = nn.ModuleDict()
        with torch.random.fork_rng(devices=[]):  # torch draws values here that are thrown away
            self.head = nn.Linear(backbone.shape.hidden_size, classes)
        with torch.no_grad():
            self.head.weight.normal_(0.0, 0.02, generator=generator)
            self.head.bias.zero_()
        self.library = _build_library(peft, backbone=backbone, seed=seed)
        for layer in active_layers(peft, backbone=backbone):
            built = {
                name: method.build(peft, backbone=backbone, generator=generator)
                for name, method in _own_methods(peft).items()
            }
            present = {name: module for name, module in built.items() if module is not None}
            if present:
                self.layers[str(layer)] = nn.ModuleDict(present)

    def after_step(self, step: int, total_steps: int) -> None:
        """Let a method act between two steps, counted from 1, while the gradients are still there."""
        if isinstance(self.library, library.Library):
            self.library.after_step(step, total_steps)


def active_layers(peft: Peft, *, backbone: Backbone) -> list[int]:
    """Give the numbers of the layers that carry modules."""
    switches = (True,) * backbone.shape.layers if peft.active_layers is None else peft.active_layers
    return [layer for layer, on in enumerate(switches) if on]


def _own_methods(peft: Peft) -> Mapping[str, ModuleType]:
    if peft.method is PeftMethod.MODULES:
        return {name: method for name, method in METHODS.items() if method is not bitfit}
    return {"bitfit": bitfit} if peft.method is PeftMethod.BITFIT else {}


def _build_library(peft: Peft, *, backbone: Backbone, seed: int) -> library.Library | prompts.Prompt | None:
    if peft.method in PROMPT_METHODS:
        return prompts.build(peft, backbone=backbone, seed=seed)
    layers = active_layers(peft, backbone=backbone)
    if peft.method not in library.LAYER_METHODS or not layers:
        return None
    return library.build(peft, backbone=backbone, layers=layers, seed=seed)


@contextmanager
def attached(modules: TrialModules, *, backbone: Backbone) -> Iterator[None]:
    """Attach the modules for the length of a block; detach them whatever happens inside."""
    handles: list[RemovableHandle] = []
    try:
        for layer, methods in modules.layers.items():
            assert isinstance(methods, nn.ModuleDict)  # noqa: S101  what the constructor made
            for name, module in methods.items():
                handles.extend(
                    METHODS[name].attach(module, backbone=backbone, layer=int(layer), peft=modules.peft)
                )
        with nullcontext() if modules.library is None else modules.library.attached(backbone):
            yield
    finally:
        for handle in handles:
            handle.remove()


def logits(modules: TrialModules, batch: Batch, *, backbone: Backbone) -> Float[Tensor, "n c"]:
    """Classify a batch: backbone with whatever is attached, mean over real tokens, linear head."""
    output = backbone.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    hidden = output.last_hidden_state.to(modules.head.weight.dtype)
    mask = batch.mask.unsqueeze(-1).to(hidden.dtype)
    pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    scores: Tensor = modules.head(pooled)
    return scores
