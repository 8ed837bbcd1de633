"""Batches of a pack: the next batch of every trial, one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from api_schemas.trial_configuration import Training
from workers.data.task_data import Batch, TokenisedSplit, pad, training_order


@dataclass(frozen=True)
class PackedBatch:
    """(trials * rows) rows, those of a trial together; false in `real` marks a row that is padding."""

    rows: Batch
    real: Bool[Tensor, "trials rows"]
    counts: tuple[int, ...]


def packed_batches(
    split: TokenisedSplit, *, recipes: Sequence[Training], pad_id: int, epoch: int, device: torch.device
) -> Iterator[PackedBatch]:
    """Yield one epoch. Every trial has the batches, in the order, that its own seed gives it alone.

    What that costs: texts are padded to the longest of all trials' batches. Trials of one seed share
    their order and pad nothing more. With a seed each, batches of short texts meet batches of long
    ones: 800 film reviews in batches of 32 become 1.17 times their tokens alone, 1.47 times with two
    seeds, 1.77 with four, 2.01 with eight and 2.22 with sixteen.
    """
    orders = [
        training_order(split, batch_size=recipe.batch_size, seed=recipe.seed, epoch=epoch)
        for recipe in recipes
    ]
    for of_trials in zip(*orders, strict=True):
        counts = tuple(map(len, of_trials))
        most = max(counts)
        # A trial whose short last batch comes up now fills it with its shortest row.
        positions = [position for mine in of_trials for position in (*mine, *[mine[0]] * (most - len(mine)))]
        real = torch.arange(most) < torch.tensor(counts).unsqueeze(1)
        yield PackedBatch(pad(split, positions, pad_id=pad_id, device=device), real.to(device), counts)
