"""Measure every trial of a pack on a split, in the same forward passes."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from workers.backbones.loading import Backbone
from workers.data.task_data import Batch, TokenisedSplit, evaluation_batches
from workers.measuring.evaluate import EVALUATION_BATCH_SIZE, Evaluation, from_outputs
from workers.measuring.losses import row_losses
from workers.packing.modules import PackedModules, packed_logits
from workers.spans import tracer


@torch.inference_mode()
@tracer.start_as_current_span("evaluate")
def evaluate_packed(
    packed: PackedModules, split: TokenisedSplit, *, backbone: Backbone
) -> list[Evaluation | None]:
    """Measure attached trials; None for one that has ended, or ends here because its loss is not finite.

    A pass has as many rows for each trial as one of `evaluate` has.
    """
    trials = len(packed.trials)
    outputs: list[Tensor] = []
    losses = torch.zeros(trials, dtype=torch.double, device=backbone.device)
    order: list[int] = []
    pad_id = backbone.tokenizer.pad_token_id
    for positions, batch in evaluation_batches(
        split, batch_size=EVALUATION_BATCH_SIZE, pad_id=pad_id, device=backbone.device
    ):
        scores = packed_logits(packed, _for_each_trial(batch, trials), backbone=backbone)
        labels = batch.labels.repeat(trials, *[1] * (batch.labels.ndim - 1))
        losses += row_losses(scores.flatten(0, 1), labels, kind=split.kind).view(trials, -1).sum(dim=1)
        outputs.append(scores.float())
        order.extend(positions)
    ordered = torch.cat(outputs, dim=1)[:, torch.tensor(order).argsort()].cpu()
    return [
        _of_trial(packed, number, ordered[number], total, split)
        for number, total in enumerate(losses.tolist())
    ]


def _for_each_trial(batch: Batch, trials: int) -> Batch:
    hidden = None if batch.hidden is None else batch.hidden.repeat(trials, 1, 1)
    return replace(batch, ids=batch.ids.repeat(trials, 1), mask=batch.mask.repeat(trials, 1), hidden=hidden)


def _of_trial(
    packed: PackedModules, number: int, outputs: Tensor, loss: float, split: TokenisedSplit
) -> Evaluation | None:
    if not math.isfinite(loss):
        packed.end(number, f"not-a-number: the loss of a held-out split is {loss}")
    return None if number in packed.ended else from_outputs(outputs, split, loss=loss / len(split))
