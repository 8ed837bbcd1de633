"""What a task loses by one cut at a time, and the sum of such losses as a guess for any sub-network.

The guess guides a search and is never reported: cuts add up only roughly, and training repairs some of
them better than others. This is the score of Puzzle (arXiv 2411.19146), with a linear head in place of the
language model's loss.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.architecture.importance import features, layer_losses
from workers.architecture.linear_probe import unexplained
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit

SHARES = (0.75, 0.5, 0.25, 0.0)
"""Of the units of one block that are left, where all other blocks are whole."""


@dataclass(frozen=True)
class BlockScores:
    """Losses of a backbone with one cut: shares of the answers' variance that a linear head misses."""

    whole: float
    without_layer: tuple[float, ...]
    narrowed: tuple[Mapping[float, float], ...]
    """For each layer the loss by the share of its units that is left, 1 among them."""
    ffn_size: int

    def predicted_loss(self, kept: SubNetwork) -> float:
        """Return the loss of the whole, and what each cut adds to it where it is the only one."""
        added = [
            loss - self.whole for layer, loss in enumerate(self.without_layer) if layer not in kept.layers
        ]
        for layer, units in zip(kept.layers, kept.ffn_units, strict=True):
            if units is not None:
                added.append(_between(self.narrowed[layer], len(units) / self.ffn_size) - self.whole)
        return self.whole + sum(added)


def block_scores(backbone: Backbone, split: TokenisedSplit, *, units: Sequence[Sequence[int]]) -> BlockScores:
    """Measure each cut alone; `units` is the order in which the units of each block stay.

    Raises:
        UnsupportedBackbone: If its layers cannot be left out.
    """
    whole = unexplained(features(backbone, split), split)
    narrowed = []
    for layer in range(len(backbone.layers)):
        losses = {1.0: whole}
        for share in SHARES:
            left = units[layer][: round(share * backbone.shape.ffn_size)]
            with narrowed_to(backbone, layer, left):
                losses[share] = unexplained(features(backbone, split), split)
        narrowed.append(losses)
    return BlockScores(whole, layer_losses(backbone, split), tuple(narrowed), backbone.shape.ffn_size)


@contextmanager
def narrowed_to(backbone: Backbone, layer: int, units: Sequence[int]) -> Iterator[None]:
    """Set all other units of a layer's block to zero for the length of a block of code."""
    reader = backbone.part(layer, "ffn_out")
    weight = reader.get_parameter("weight")
    kept = torch.zeros(backbone.shape.ffn_size, dtype=weight.dtype, device=weight.device)
    kept[list(units)] = 1.0

    def multiply(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        return inputs[0] * kept

    handle = reader.register_forward_pre_hook(multiply)
    try:
        yield
    finally:
        handle.remove()


def _between(losses: Mapping[float, float], share: float) -> float:
    """Interpolate between the two shares on either side."""
    below = max(known for known in losses if known <= share)
    above = min(known for known in losses if known >= share)
    if above == below:
        return losses[below]
    weight = (share - below) / (above - below)
    return (1 - weight) * losses[below] + weight * losses[above]
