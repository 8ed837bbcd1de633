"""The modules of several trials as one set of stacked modules, attached to one backbone together.

Hidden states have (trials * rows, tokens, width): the rows of a trial lie together, and each stacked
module multiplies each trial's rows with that trial's weights. A unit that a trial does not have is
zero before and after its activation function, so it adds nothing and its gradient is zero.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from api_schemas.peft.parallel_adapter import ParallelAdapter
from api_schemas.peft.registry import Peft
from workers.backbones.activation_cache import final_hidden, pool
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch
from workers.packing.stack import Stack
from workers.peft_methods import TrialModules, parallel_adapter, serial_adapter
from workers.peft_methods.lora import LowRank
from workers.peft_methods.place import Place
from workers.peft_methods.prefix_injection import (
    Handle,
    inject_via_cache,
    inject_via_projections,
    takes_a_cache,
)
from workers.peft_methods.prefix_tuning import Prefix

UNSCALED = Peft(parallel_adapter=ParallelAdapter(scaling=1.0))
"""For the hooks of a single trial: the scaling of each trial of the pack is in the gates."""


class PackedModules:
    """What several trials train, with the initial values that each of them has alone.

    `gates` have a factor for each trial by the path of a module: its scaling where the trial has the
    module, 0 where it has not. `visible` marks the rows of a stacked prefix that a trial has. `ended`
    has the reason of each trial that trains no further.
    """

    def __init__(self, trials: Sequence[TrialModules]) -> None:
        self.trials = tuple(trials)
        self.stack = Stack([dict(trial.named_parameters()) for trial in trials])
        self.first_layer = min(trial.first_layer for trial in trials)
        self.places = {layer: place for trial in trials for layer, place in trial.places.items()}
        self.gates = _gates(self.trials, like=self.stack.values)
        self.visible = _visible(self.trials, like=self.stack.values)
        self.ended: dict[int, str] = {}

    def end(self, number: int, reason: str) -> None:
        """Train a trial no further. Its rows are still computed, from zeros, and change nothing."""
        self.ended.setdefault(number, reason)
        self.stack.stop(number)

    def write_back(self) -> None:
        """Copy what was trained into the modules of each trial."""
        for number, trial in enumerate(self.trials):
            self.stack.write_back(number, dict(trial.named_parameters()))


class PackedBottleneck(nn.Module):
    """up(relu(down(x))) with each trial's own projections, times its gate."""

    def __init__(self, packed: PackedModules, path: str) -> None:
        super().__init__()
        named = packed.stack.named
        self.down, self.down_bias = named[f"{path}.down.weight"], named[f"{path}.down.bias"]
        self.up, self.up_bias = named[f"{path}.up.weight"], named[f"{path}.up.bias"]
        self.gate = packed.gates[path]

    def forward(self, x: Float[Tensor, "n t h"]) -> Float[Tensor, "n t h"]:
        """Project the rows of each trial down, cut below zero, project up."""
        rows = x.reshape(len(self.gate), -1, x.shape[-1])
        inner = functional.relu(_linear(rows, self.down, self.down_bias))
        # The gate goes into the weights, which are far smaller than the hidden states.
        return _linear(inner, self.gate * self.up, self.gate.squeeze(2) * self.up_bias).view_as(x)


class PackedLowRank(nn.Module):
    """B(A(x)) with each trial's own factors, times its gate."""

    def __init__(self, packed: PackedModules, path: str) -> None:
        super().__init__()
        self.A, self.B = packed.stack.named[f"{path}.A"], packed.stack.named[f"{path}.B"]
        self.gate = packed.gates[path]

    def forward(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """Project the rows of each trial to the rank and back."""
        rows = x.reshape(len(self.gate), -1, x.shape[-1])
        inner = torch.bmm(rows, self.A.to(x.dtype).transpose(1, 2))
        change = torch.bmm(inner, (self.gate * self.B).to(x.dtype).transpose(1, 2))
        return change.view(*x.shape[:-1], -1)


@contextmanager
def attached_pack(packed: PackedModules, *, backbone: Backbone) -> Iterator[None]:
    """Attach the stacked modules for the length of a block.

    After it they are detached, and each trial's own modules have the values that were trained.
    """
    handles: list[Handle] = []
    try:
        for layer, place in packed.places.items():
            here = replace(place, backbone=backbone, peft=UNSCALED)
            for name, attach in ATTACH.items():
                handles.extend(attach(packed, f"layers.{layer}.{name}", here))
        yield
    finally:
        for handle in handles:
            handle.remove()
        packed.write_back()


def packed_logits(
    packed: PackedModules, batch: Batch, *, backbone: Backbone
) -> Float[Tensor, "trials rows c"]:
    """Classify a batch of (trials * rows) with each trial's own modules and head."""
    weight, bias = packed.stack.named["head.weight"], packed.stack.named["head.bias"]
    hidden = final_hidden(batch, backbone=backbone).to(weight.dtype)
    pooled = pool(hidden, batch.mask)
    return _linear(pooled.view(len(packed.trials), -1, pooled.shape[-1]), weight, bias)


def _linear(
    x: Float[Tensor, "trials n i"], weight: Float[Tensor, "trials o i"], bias: Float[Tensor, "trials o"]
) -> Float[Tensor, "trials n o"]:
    return torch.baddbmm(bias.to(x.dtype).unsqueeze(1), x, weight.to(x.dtype).transpose(1, 2))


def _attach_lora(packed: PackedModules, path: str, place: Place) -> list[Handle]:
    handles: list[Handle] = []
    for role_path in packed.gates:
        if role_path.startswith(f"{path}."):
            projection = place.projection(role_path.removeprefix(f"{path}."))
            update = PackedLowRank(packed, role_path)

            def add(
                _: nn.Module,
                arguments: tuple[Tensor, ...],
                output: Tensor,
                widened: Callable[[Tensor], Tensor] = projection.widened,
                update: PackedLowRank = update,
            ) -> Tensor:
                return output + widened(update(arguments[0]))

            handles.append(projection.module.register_forward_hook(add))
    return handles


def _attach_bottleneck(
    attach: Callable[[nn.Module, Place], Sequence[Handle]], packed: PackedModules, path: str, place: Place
) -> list[Handle]:
    return [*attach(PackedBottleneck(packed, path), place)] if path in packed.gates else []


def _attach_prefix(packed: PackedModules, path: str, place: Place) -> list[Handle]:
    if path not in packed.visible:
        return []
    inject = inject_via_cache if takes_a_cache(place.part("attention")) else inject_via_projections
    named = packed.stack.named
    return inject(
        named[f"{path}.key"],
        named[f"{path}.value"],
        backbone=place.backbone,
        layer=place.layer,
        visible=packed.visible[path],
    )


ATTACH: Mapping[str, Callable[[PackedModules, str, Place], list[Handle]]] = {
    "lora": _attach_lora,
    "serial_adapter": partial(_attach_bottleneck, serial_adapter.attach),
    "parallel_adapter": partial(_attach_bottleneck, parallel_adapter.attach),
    "prefix_tuning": _attach_prefix,
}
"""In the order in which the hooks of a single trial are registered."""


def _gates(trials: Sequence[TrialModules], *, like: Tensor) -> dict[str, Float[Tensor, "trials 1 1"]]:
    factors: dict[str, list[float]] = {}
    for number, trial in enumerate(trials):
        for path, factor in _factors(trial):
            factors.setdefault(path, [0.0] * len(trials))[number] = factor
    return {
        path: torch.tensor(of_trials, dtype=like.dtype, device=like.device).view(-1, 1, 1)
        for path, of_trials in factors.items()
    }


def _factors(trial: TrialModules) -> Iterator[tuple[str, float]]:
    for path, module in trial.named_modules():
        if isinstance(module, LowRank):
            yield path, trial.peft.lora.alpha / len(module.A)
        elif path.endswith(".serial_adapter"):
            yield path, 1.0
        elif path.endswith(".parallel_adapter"):
            yield path, trial.peft.parallel_adapter.scaling


def _visible(trials: Sequence[TrialModules], *, like: Tensor) -> dict[str, Bool[Tensor, "trials p"]]:
    lengths: dict[str, list[int]] = {}
    for number, trial in enumerate(trials):
        for path, module in trial.named_modules():
            if isinstance(module, Prefix):
                lengths.setdefault(path, [0] * len(trials))[number] = len(module.key)
    return {
        path: torch.arange(max(of_trials), device=like.device)
        < torch.tensor(of_trials, device=like.device).unsqueeze(1)
        for path, of_trials in lengths.items()
    }
