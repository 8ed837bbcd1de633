"""The PEFT methods, and how a configuration of them is attached to a frozen backbone.

One file per method, and a row in `registry`. Methods of our own have `build` and `attach` and work through
forward hooks: the backbone's modules and the names of its weights are never touched, and detaching is
removing hooks. Methods of HF `peft` have a `METHOD`, which `hf_layers` or `prompts` attaches and detaches;
`full` puts trained copies of the backbone's weights in their places.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from api_schemas.peft.registry import Peft
from workers.backbones.activation_cache import final_hidden, pool
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch
from workers.peft_methods import full, hf_layers, prompts
from workers.peft_methods.place import Place
from workers.peft_methods.prefix_injection import Handle
from workers.peft_methods.registry import CHANGES_OF_WEIGHTS, METHODS, hooked_methods


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
            built = {name: method.build(place) for name, method in hooked_methods(peft).items()}
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

    @property
    def trains_weights(self) -> bool:
        """Whether the backbone's own weights are trained."""
        return isinstance(self.library, full.OwnWeights)

    @property
    def kinds(self) -> set[str]:
        """The names of the modules of our own that some layer carries."""
        return {kind for methods in self.layers.values() for kind, _ in methods.named_children()}

    @property
    def merges(self) -> bool:
        """Whether what is trained can be added to the weights, so that it costs nothing at prediction."""
        return not isinstance(self.library, prompts.Prompt) and self.kinds <= CHANGES_OF_WEIGHTS

    def after_step(self, step: int, total_steps: int) -> None:
        """Let a method act between two steps, counted from 1, while the gradients are still there."""
        if isinstance(self.library, hf_layers.HfLayers):
            self.library.method.after_step(self.library.model, step, total_steps)


def active_layers(peft: Peft, *, backbone: Backbone) -> list[int]:
    """Return the numbers of the layers that carry modules."""
    return [layer for layer in range(backbone.shape.layers) if peft.is_active(layer)]


def _build_library(
    peft: Peft, *, backbone: Backbone, seed: int
) -> hf_layers.HfLayers | prompts.Prompt | full.OwnWeights | None:
    method, layers = METHODS.get(peft.method), active_layers(peft, backbone=backbone)
    if isinstance(method, prompts.PromptMethod):
        return prompts.build(peft, method=method, backbone=backbone, seed=seed)
    if isinstance(method, hf_layers.HfMethod) and layers:
        return hf_layers.build(peft, method=method, backbone=backbone, layers=layers, seed=seed)
    if isinstance(method, full.WeightsMethod) and layers:
        return full.build(backbone, first_layer=layers[0])
    return None


@contextmanager
def attached(modules: TrialModules, *, backbone: Backbone) -> Iterator[None]:
    """Attach the modules for the length of a block; detach them whatever happens inside."""
    handles: list[Handle] = []
    hooked = hooked_methods(modules.peft)
    try:
        for layer, methods in modules.layers.items():
            assert isinstance(methods, nn.ModuleDict)  # noqa: S101  what the constructor made
            for name, module in methods.items():
                handles.extend(hooked[name].attach(module, replace(modules.places[layer], backbone=backbone)))
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
