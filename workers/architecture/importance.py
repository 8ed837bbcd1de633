"""Which layers and which feed-forward units of a backbone a task needs most, measured on training rows.

Layers: what a linear head loses when one is left out. Units: the size of what each adds to the residual
stream. No weight is trained, nothing is random: the same rows give the same order on the same machine.
"""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workers.architecture.extraction import extracted, unit_rows
from workers.architecture.linear_probe import unexplained
from workers.architecture.sub_network import without
from workers.backbones.activation_cache import final_hidden, pool
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, evaluation_batches
from workers.spans import tracer

ROWS = 512
BATCH_SIZE = 64


def measuring_rows(split: TokenisedSplit) -> TokenisedSplit:
    """Return at most `ROWS` rows of a split, evenly spaced."""
    count = min(ROWS, len(split))
    rows = [number * len(split) // count for number in range(count)]
    return replace(
        split,
        ids=tuple(split.ids[row] for row in rows),
        labels=tuple(split.labels[row] for row in rows),
        activations=None,
    )


@tracer.start_as_current_span("rank layers")
def layer_order(backbone: Backbone, split: TokenisedSplit) -> tuple[int, ...]:
    """Return the layers, first the one without which the answers are hardest to read.

    Raises:
        UnsupportedBackbone: If its layers cannot be left out.
    """
    losses = layer_losses(backbone, split)
    return tuple(sorted(range(len(losses)), key=lambda layer: -losses[layer]))


def layer_losses(backbone: Backbone, split: TokenisedSplit) -> tuple[float, ...]:
    """Return for each layer the share of the answers' variance that stays unexplained without it.

    Raises:
        UnsupportedBackbone: If its layers cannot be left out.
    """
    count = len(backbone.layers)
    smaller = (extracted(backbone, without(layer, layer_count=count)) for layer in range(count))
    return tuple(unexplained(features(network, split), split) for network in smaller)


@torch.inference_mode()
def features(backbone: Backbone, split: TokenisedSplit) -> Float[Tensor, "n h"]:
    """Return what a linear head reads: the mean of the last layer over the real tokens of each row."""
    outputs = torch.zeros(len(split), backbone.shape.hidden_size)
    pad_id = backbone.tokenizer.pad_token_id
    for positions, batch in evaluation_batches(
        split, batch_size=BATCH_SIZE, pad_id=pad_id, device=backbone.device
    ):
        hidden = final_hidden(batch, backbone=backbone).float()
        outputs[positions] = pool(hidden, batch.mask).cpu()
    return outputs


@tracer.start_as_current_span("rank units")
def unit_order(backbone: Backbone, split: TokenisedSplit) -> tuple[tuple[int, ...], ...]:
    """Return the units of each layer's feed-forward block, first the one that adds most."""
    return tuple(
        tuple(torch.argsort(of_layer, descending=True, stable=True).tolist())
        for of_layer in unit_sizes(backbone, split)
    )


@torch.inference_mode()
def unit_sizes(backbone: Backbone, split: TokenisedSplit) -> Float[Tensor, "l f"]:
    """Return the mean square of what each unit adds to the residual stream for a token.

    That is the unit's mean squared activation times the squared norm of its weights in the projection that
    reads it: Wanda's score (arXiv 2306.11695), summed over the weights that go with a unit.
    """
    readers = [backbone.part(layer, "ffn_out") for layer in range(len(backbone.layers))]
    squares = torch.zeros(len(readers), backbone.shape.ffn_size, dtype=torch.float64)
    real: list[Tensor] = []
    tokens = 0

    def add(layer: int, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        squares[layer] += inputs[0][real[-1]].double().square().sum(dim=0).cpu()

    handles = [reader.register_forward_pre_hook(partial(add, layer)) for layer, reader in enumerate(readers)]
    try:
        for _, batch in evaluation_batches(
            split, batch_size=BATCH_SIZE, pad_id=backbone.tokenizer.pad_token_id, device=backbone.device
        ):
            real.append(batch.mask.bool())
            tokens += int(batch.mask.sum())
            final_hidden(batch, backbone=backbone)
    finally:
        for handle in handles:
            handle.remove()
    weights = [unit_rows(reader, reads=True).double().square().sum(dim=1).cpu() for reader in readers]
    return squares / tokens * torch.stack(weights)
