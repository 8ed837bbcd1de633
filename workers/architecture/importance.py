"""Which layers, feed-forward units and heads of a backbone a task needs most, measured on training rows.

Layers: what a linear head loses when one is left out. Units and heads: the size of what each adds to the
residual stream. No weight is trained, nothing is random: the same rows give the same order on the same
machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from api_schemas.architecture import MEASURING_ROWS
from api_schemas.model_families import FAMILIES
from workers.architecture.extraction import extracted
from workers.architecture.heads import head_counts
from workers.architecture.linear_probe import unexplained
from workers.architecture.projections import unit_rows
from workers.architecture.sub_network import without
from workers.backbones.activation_cache import final_hidden, pool
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, evaluation_batches
from workers.spans import tracer

BATCH_SIZE = 64


def measuring_rows(split: TokenisedSplit) -> TokenisedSplit:
    """Return at most `MEASURING_ROWS` rows of a split, evenly spaced."""
    count = min(MEASURING_ROWS, len(split))
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

    def add(layer: int, read: Tensor) -> None:
        squares[layer] += read.double().square().sum(dim=0).cpu()

    tokens = read_by_layers(readers, add, backbone=backbone, split=split)
    weights = [unit_rows(reader, reads=True).double().square().sum(dim=1).cpu() for reader in readers]
    return squares / tokens * torch.stack(weights)


@tracer.start_as_current_span("rank heads")
def head_order(backbone: Backbone, split: TokenisedSplit) -> tuple[tuple[int, ...], ...]:
    """Return the heads of each layer, first the one that adds most.

    Of grouped heads the best of each group come first, then the second of each: whatever begins the order in
    whole rounds leaves groups of one size. Layers that share a position bias have one order, by their sum.
    """
    sizes = head_sizes(backbone, split)
    configuration: Any = backbone.model.config
    if FAMILIES[configuration.model_type].shares_position_bias:
        sizes = sizes.sum(dim=0, keepdim=True).expand_as(sizes)
    heads, key_value_heads = head_counts(configuration)
    groups = key_value_heads if key_value_heads < heads else 1
    by_group = torch.argsort(sizes.reshape(len(sizes), groups, -1), dim=2, descending=True, stable=True)
    firsts = torch.arange(groups).unsqueeze(1) * (heads // groups)
    return tuple(tuple(order.T.flatten().tolist()) for order in by_group + firsts)


@torch.inference_mode()
def head_sizes(backbone: Backbone, split: TokenisedSplit) -> Float[Tensor, "l a"]:
    """Return the mean square of what each head adds to the residual stream for a token.

    A head's outputs x and the weights W that read them give |W x|^2, the trace of (x x^T)(W^T W).
    """
    heads, _ = head_counts(backbone.model.config)
    readers = [backbone.part(layer, "attention_output") for layer in range(len(backbone.layers))]
    size = backbone.shape.query_size // heads
    moments = torch.zeros(len(readers), heads, size, size, dtype=torch.float64)

    def add(layer: int, read: Tensor) -> None:
        of_heads = read.double().reshape(-1, heads, size)
        moments[layer] += torch.einsum("nha,nhb->hab", of_heads, of_heads).cpu()

    tokens = read_by_layers(readers, add, backbone=backbone, split=split)
    weights = torch.stack(
        [unit_rows(reader, reads=True).double().cpu().reshape(heads, size, -1) for reader in readers]
    )
    return torch.einsum("lhab,lham,lhbm->lh", moments, weights, weights) / tokens


def read_by_layers(
    readers: Sequence[nn.Module],
    add: Callable[[int, Float[Tensor, "n f"]], None],
    *,
    backbone: Backbone,
    split: TokenisedSplit,
) -> int:
    """Pass what each layer's module reads for the real tokens to `add`; return how many tokens there are."""
    real: list[Tensor] = []
    tokens = 0

    def hand_on(layer: int, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        add(layer, inputs[0][real[-1]])

    handles = [
        reader.register_forward_pre_hook(partial(hand_on, layer)) for layer, reader in enumerate(readers)
    ]
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
    return tokens


def magnitude_unit_order(backbone: Backbone) -> tuple[tuple[int, ...], ...]:
    """Return the units of each layer by the size of their weights: what importance is compared with.

    The norm of the weights that lead to a unit, times that of those that leave it. No row is read.
    """
    return tuple(_by_weight(backbone, layer) for layer in range(len(backbone.layers)))


def _by_weight(backbone: Backbone, layer: int) -> tuple[int, ...]:
    entering = ["ffn_in"] if backbone.paths.ffn_gate is None else ["ffn_in", "ffn_gate"]
    rows = [unit_rows(backbone.part(layer, name), reads=False).double() for name in entering]
    into = torch.cat(rows, dim=1).norm(dim=1)
    out_of = unit_rows(backbone.part(layer, "ffn_out"), reads=True).double().norm(dim=1)
    sizes = (into * out_of).tolist()
    return tuple(sorted(range(len(sizes)), key=lambda unit: -sizes[unit]))
