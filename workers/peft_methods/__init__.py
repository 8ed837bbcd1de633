"""The PEFT methods, and how a configuration of them is attached to a frozen backbone.

One file per method of our own, each with `build` and `attach`. They work through forward hooks: the
backbone's modules and the names of its weights are never touched, and detaching is removing hooks.
The methods of HF `peft` are in `library` and `prompts`; they take places and give them back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from api_schemas.peft.registry import Peft, PeftMethod
from workers.backbones.activation_cache import final_hidden, pool
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch
from workers.peft_methods import (
    bitfit,
    compacter,
    library,
    lora,
    parallel_adapter,
    prefix_tuning,
    prompts,
    scale_shift,
    serial_adapter,
)
from workers.peft_methods.place import Place
from workers.peft_methods.prefix_entry import Handle

# The order in which hooks are registered: a low-rank update belongs to the projection itself and a
# scale and shift to its output, so they come before whatever reads that output.
METHODS: Mapping[str, ModuleType] = {
    "lora": lora,
    "scale_shift": scale_shift,
    "serial_adapter": serial_adapter,
    "compacter": compacter,
    "parallel_adapter": parallel_adapter,
    "prefix_tuning": prefix_tuning,
    "bitfit": bitfit,
}


class TrialModules(nn.Module):
    """Everything that a trial trains: the modules of each active layer, and a linear head."""

    def __init__(self, peft: Peft, *, backbone: Backbone, classes: int, seed: int) -> None:
        super().__init__()
        generator = Generator().manual_seed(seed)
        self.layer_count = backbone.shape.layers
        self.shared = nn.ModuleDict()
        self.layers = nn.ModuleDict()
        self.places: dict[str, Place] = {}
        with torch.random.fork_rng(devices=[]):  # torch draws values here that are thrown away
            self.head = nn.Linear(backbone.shape.hidden_size, classes)
        with torch.no_grad():
            self.head.weight.normal_(0.0, 0.02, generator=generator)
            self.head.bias.zero_()
        self.peft = peft
        self.library = _build_library(peft, backbone=backbone, seed=seed)
        for layer in active_layers(peft, backbone=backbone):
            place = Place(peft, backbone, layer, generator, self.shared)
            built = {name: method.build(place) for name, method in _own_methods(peft).items()}
            present = {name: module for name, module in built.items() if module is not None}
            if present:
                self.layers[str(layer)] = nn.ModuleDict(present)
                self.places[str(layer)] = place

    @property
    def first_layer(self) -> int:
        """Number of the lowest layer that carries modules; the number of layers if none does."""
        if isinstance(self.library, prompts.Prompt):
            return 0
        active = (layer for layer in range(self.layer_count) if self.peft.is_active(layer))
        return next(active, 0) if self.library else min(map(int, self.layers), default=self.layer_count)

    def after_step(self, step: int, total_steps: int) -> None:
        """Let a method act between two steps, counted from 1, while the gradients are still there."""
        if isinstance(self.library, library.Library):
            self.library.after_step(step, total_steps)


def active_layers(peft: Peft, *, backbone: Backbone) -> list[int]:
    """Return the numbers of the layers that carry modules."""
    return [layer for layer in range(backbone.shape.layers) if peft.is_active(layer)]


def _own_methods(peft: Peft) -> Mapping[str, ModuleType]:
    if peft.method is PeftMethod.MODULES:
        return {name: method for name, method in METHODS.items() if method is not bitfit}
    return {"bitfit": bitfit} if peft.method is PeftMethod.BITFIT else {}


def _build_library(peft: Peft, *, backbone: Backbone, seed: int) -> library.Library | prompts.Prompt | None:
    if peft.method.definition.is_prompt:
        return prompts.build(peft, backbone=backbone, seed=seed)
    layers = active_layers(peft, backbone=backbone)
    if peft.method not in library.LAYER_METHODS or not layers:
        return None
    return library.build(peft, backbone=backbone, layers=layers, seed=seed)


@contextmanager
def attached(modules: TrialModules, *, backbone: Backbone) -> Iterator[None]:
    """Attach the modules for the length of a block; detach them whatever happens inside."""
    handles: list[Handle] = []
    try:
        for layer, methods in modules.layers.items():
            assert isinstance(methods, nn.ModuleDict)  # noqa: S101  what the constructor made
            for name, module in methods.items():
                handles.extend(
                    METHODS[name].attach(module, replace(modules.places[layer], backbone=backbone))
                )
        with nullcontext() if modules.library is None else modules.library.attached(backbone):
            yield
    finally:
        for handle in handles:
            handle.remove()


def logits(modules: TrialModules, batch: Batch, *, backbone: Backbone) -> Float[Tensor, "n c"]:
    """Classify a batch: backbone with whatever is attached, mean over real tokens, linear head."""
    hidden = final_hidden(batch, backbone=backbone).to(modules.head.weight.dtype)
    scores: Tensor = modules.head(pool(hidden, batch.mask))
    return scores
