"""Keep what the frozen layers below a trial's first module compute, across epochs and across trials.

Those layers have no trained modules and no dropout, so their output for a text never changes.
What is kept is the input of the first layer with modules, for every text of a task; a trial without
modules keeps the pooled output. Rows that are dealt into folds are kept once: each partition gets views of
them. Knows nothing about what is trained above.

Whether a task is cached depends on its own size alone, and what is kept is always computed from the
token ids in the same batches: a trial gets the same numbers whatever ran before it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workers.backbones.loading import Backbone
from workers.data.task_data import (
    Batch,
    FrozenActivations,
    TokenisedSplit,
    TokenisedTask,
    evaluation_batches,
    pad,
)
from workers.spans import tracer

SPLITS = ("train", "validation", "test")
FILL_BATCH_SIZE = 64
PROBED_ROWS = 4
AGREEMENT = 2e-2
"""How far a start in the middle may be from the whole way on a probe, relative to the largest value.

A layer that needs something from the layers below it is wrong by far more, rounding in bfloat16 by less.
T5's position bias lives in the first layer, and so does the convolution of some DeBERTa models.
"""


class LayerReached(Exception):
    """Ends a forward pass at the layer whose input is wanted."""


class ActivationCache:
    """Activations of whole tasks, the one used longest ago dropped first when `max_bytes` are passed."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._kept: dict[tuple[str, int], Mapping[str, FrozenActivations]] = {}
        self._sound: dict[tuple[str, int], bool] = {}

    @property
    def bytes_held(self) -> int:
        """Bytes of all activations that are kept now."""
        return sum(split.hidden.nbytes for kept in self._kept.values() for split in kept.values())

    def task(self, task: TokenisedTask, *, key: str, backbone: Backbone, layer: int) -> TokenisedTask:
        """Return the task with the inputs of a layer attached; unchanged where that saves nothing.

        Partitions of one pool share a key.
        """
        if layer == 0 or _expected_bytes(task, backbone=backbone, layer=layer) > self.max_bytes:
            return task
        if (key, layer) not in self._sound:
            first = next(iter(_parts(task).values()))
            self._sound[key, layer] = starts_soundly(first, backbone=backbone, layer=layer)
        if not self._sound[key, layer]:
            return task
        kept = self._kept.pop((key, layer), None) or {
            name: _filled(part, backbone=backbone, layer=layer) for name, part in _parts(task).items()
        }
        self._kept[key, layer] = kept
        while self.bytes_held > self.max_bytes:
            del self._kept[next(iter(self._kept))]
        return replace(
            task,
            **{
                name: replace(getattr(task, name), activations=_of_split(name, task, kept=kept))
                for name in SPLITS
            },
        )


def final_hidden(batch: Batch, *, backbone: Backbone) -> Float[Tensor, "n t h"]:
    """Run the backbone with what is attached to it, from the token ids or from the batch's first layer."""
    if batch.hidden is None:
        return _whole_way(batch, backbone)
    if batch.start == len(backbone.layers):
        return batch.hidden
    with _starting_at(batch.start, batch.hidden, backbone=backbone):
        return _whole_way(batch, backbone)


@torch.inference_mode()
def starts_soundly(split: TokenisedSplit, *, backbone: Backbone, layer: int) -> bool:
    """Return whether starting at a layer gives what the whole way gives, on the longest rows of a split.

    On the longest, because a layer whose attention is a window differs from its neighbours on them alone.
    """
    if layer == len(backbone.layers):
        return True
    longest = sorted(range(len(split)), key=lambda position: -len(split.ids[position]))[:PROBED_ROWS]
    batch = pad(split, longest, pad_id=backbone.tokenizer.pad_token_id, device=backbone.device)
    inputs = _input_of(layer, batch, backbone=backbone)
    with _starting_at(layer, inputs, backbone=backbone):
        actual = _whole_way(batch, backbone)
    expected = _whole_way(batch, backbone)
    real = batch.mask.bool()
    worst = (actual - expected)[real].abs().max()
    return bool(worst <= AGREEMENT * expected[real].abs().max())


def pool(hidden: Float[Tensor, "n t h"], mask: Tensor) -> Float[Tensor, "n h"]:
    """Average the real tokens of each row."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


@torch.no_grad()
@tracer.start_as_current_span("keep activations")
def _filled(split: TokenisedSplit, *, backbone: Backbone, layer: int) -> FrozenActivations:
    pad_id, device = backbone.tokenizer.pad_token_id, backbone.device
    rows: dict[int, Tensor] = {}
    for positions, batch in evaluation_batches(
        split, batch_size=FILL_BATCH_SIZE, pad_id=pad_id, device=device
    ):
        if layer == len(backbone.layers):
            hidden = _whole_way(batch, backbone)
            precise = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
            outputs = pool(precise, batch.mask).unsqueeze(1)
        else:
            outputs = _input_of(layer, batch, backbone=backbone)
        for row, position in enumerate(positions):
            rows[position] = outputs[row, : len(split.ids[position])].clone()
    lengths = tuple(len(rows[position]) for position in range(len(split)))
    starts = tuple(accumulate(lengths[:-1], initial=0))
    hidden = torch.cat([rows[position] for position in range(len(split))])
    return FrozenActivations(layer, hidden, starts, lengths)


def _input_of(layer: int, batch: Batch, *, backbone: Backbone) -> Float[Tensor, "n t h"]:
    reached: list[Tensor] = []

    def stop(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        reached.append(arguments[0] if arguments else named["hidden_states"])
        raise LayerReached

    handle = backbone.layers[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        _whole_way(batch, backbone)
    except LayerReached:
        return reached[0]
    finally:
        handle.remove()
    raise AssertionError("the forward pass went around its own layer")  # pragma: no cover


def _whole_way(batch: Batch, backbone: Backbone) -> Float[Tensor, "n t h"]:
    output = backbone.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    hidden: Tensor = output.last_hidden_state
    return hidden


@contextmanager
def _starting_at(layer: int, hidden: Tensor, *, backbone: Backbone) -> Iterator[None]:
    """Leave out the layers below, and pass `hidden` to `layer` as its input."""

    def hand_over(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        if arguments:
            return (hidden, *arguments[1:]), named
        return arguments, {**named, "hidden_states": hidden}

    handle = backbone.layers[layer].register_forward_pre_hook(hand_over, with_kwargs=True)
    every_layer = backbone.layer_list._modules
    above = backbone.layers[layer:]
    backbone.layer_list._modules = {str(number): module for number, module in enumerate(above)}
    try:
        yield
    finally:
        backbone.layer_list._modules = every_layer
        handle.remove()


def _parts(task: TokenisedTask) -> dict[str, TokenisedSplit]:
    """Return the rows that are kept together by name, those that are trained on first."""
    if task.pool is None:
        return {name: getattr(task, name) for name in SPLITS}
    return {"pool": task.pool.rows, "test": task.test}


def _of_split(name: str, task: TokenisedTask, *, kept: Mapping[str, FrozenActivations]) -> FrozenActivations:
    if task.pool is None or name == "test":
        return kept[name]
    return kept["pool"].at(getattr(task.pool, name))


def _expected_bytes(task: TokenisedTask, *, backbone: Backbone, layer: int) -> int:
    dtype = next(backbone.model.parameters()).dtype
    parts = _parts(task).values()
    if layer == len(backbone.layers):
        vectors, item_bytes = sum(map(len, parts)), torch.promote_types(dtype, torch.float32).itemsize
    else:
        vectors, item_bytes = sum(len(ids) for part in parts for ids in part.ids), dtype.itemsize
    return vectors * backbone.shape.hidden_size * item_bytes
