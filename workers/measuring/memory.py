"""How much memory a trial will need, and how large a micro-batch fits.

The estimate counts what the backward pass must keep. Its error is learned as one factor for each backbone,
from the peaks that trials reached.
"""

import gc
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil
import structlog
import torch

from service.runtime.work_limits import memory_of_machine
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.errors import OutOfMemory, is_out_of_memory

log = structlog.get_logger(__name__)

MICRO_BATCH_DIVISORS = (1, 2)
"""A training that ran out of memory is tried once more with half as many rows at once."""

BYTES_PER_TRAINED = 16
"""A float32 weight, its gradient and AdamW's two moments."""

BYTES_PER_COPY = 4
"""Of these, the float32 weight itself. Copies of a backbone's weights are too large to be overlooked."""

KEPT_HIDDEN = 10
"""Vectors of the hidden width that a layer keeps for a token: norms, queries, keys, values, adapters."""

KEPT_FFN = 2
"""Vectors of the feed-forward width: the input of the activation function and its output."""

SHARE_OF_FREE = 0.9
FIRST_FACTOR = 1.25
"""Before a peak was observed, the estimate is raised by a quarter."""

REMEMBERED_PEAKS = 32


Trained = TypeVar("Trained")


@dataclass(frozen=True)
class TrainingShape:
    """What the memory of a training step depends on besides the backbone."""

    trained: int
    layers_with_gradient: int
    longest: int
    heads: int
    trains_weights: bool = False
    """Whether what is trained are copies of the backbone's weights, which add no units to any layer."""

    @property
    def copied_bytes(self) -> int:
        """What copies of weights take from the time at which the trial is built, before it is trained."""
        return self.trained * BYTES_PER_COPY * self.trains_weights


class MemoryModel:
    """Predicts peaks, and corrects itself by those that were observed."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._ratios: dict[str, deque[float]] = {}

    def micro_batch_tokens(self, training: TrainingShape, *, backbone: Backbone, batch_size: int) -> int:
        """Return the most tokens that one forward and backward pass may hold, padding included.

        Raises:
            OutOfMemory: If not even one row of the longest length fits.
        """
        free = self.free_bytes(backbone.device, already=training.copied_bytes)
        fixed = fixed_bytes(training, backbone=backbone)
        one_row = self._factor(backbone.name) * step_bytes(training, backbone=backbone, rows=1)
        rows = int((free - fixed) / one_row)
        if rows < 1:
            raise OutOfMemory(
                f"out-of-memory (predicted): one text of {training.longest} tokens needs "
                f"{fixed + one_row:,.0f} bytes beside the backbone and {free:,} are free. Lower "
                "training.max_length or the sizes of the modules."
            )
        return min(rows, batch_size) * training.longest

    def check_weights(self, trained: int, *, backbone: Backbone) -> None:
        """Refuse to train more of a backbone's weights than fit: each with its gradient and two moments.

        Raises:
            OutOfMemory: If they do not fit, whatever the length of the texts.
        """
        free = self.free_bytes(backbone.device)
        needed = trained * (BYTES_PER_TRAINED + _cast_bytes(backbone))
        if needed > free:
            raise OutOfMemory(
                f"out-of-memory (predicted): {trained:,} trained weights need {needed:,} bytes with their "
                f"gradients and AdamW's moments, and {free:,} are free. Raise peft.first_active_layer, or "
                "train a method that leaves the weights as they are."
            )

    def trials_at_once(self, training: TrainingShape, *, backbone: Backbone, batch_size: int) -> int:
        """Return how many trials of a shape, each with a whole batch, fit in one pass."""
        one_step = self._factor(backbone.name) * step_bytes(training, backbone=backbone, rows=batch_size)
        one_trial = fixed_bytes(training, backbone=backbone) + one_step
        return int(self.free_bytes(backbone.device) / one_trial)

    def learn(self, training: TrainingShape, *, backbone: Backbone, rows: int, observed_bytes: int) -> None:
        """Compare a peak, counted from before the trial, with the estimate for its largest pass."""
        fixed = fixed_bytes(training, backbone=backbone) - training.copied_bytes
        estimate = fixed + step_bytes(training, backbone=backbone, rows=rows)
        seen = self._ratios.setdefault(backbone.name, deque(maxlen=REMEMBERED_PEAKS))
        seen.append(observed_bytes / estimate)

    def free_bytes(self, device: torch.device, *, already: int = 0) -> int:
        """Return what a trial may take on a device that has taken so much `already`."""
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            free += reusable
        else:
            # A container may have less than its machine has free.
            left = memory_of_machine() - psutil.Process().memory_info().rss
            free = min(psutil.virtual_memory().available, left)
        allowed = int(SHARE_OF_FREE * free) + already
        return allowed if self.limit_bytes is None else min(allowed, self.limit_bytes)

    def _factor(self, backbone: str) -> float:
        return max(self._ratios.get(backbone) or (FIRST_FACTOR,))


def fixed_bytes(training: TrainingShape, *, backbone: Backbone) -> int:
    """Return what the trained scalars need however many rows a step has."""
    cast = _cast_bytes(backbone) if training.trains_weights else 0
    return training.trained * (BYTES_PER_TRAINED + cast)


def _cast_bytes(backbone: Backbone) -> int:
    """Return what a trained weight takes in the precision of the backbone, where that is another one."""
    item_bytes = next(backbone.model.parameters()).element_size()
    return item_bytes if item_bytes < BYTES_PER_COPY else 0


def step_bytes(training: TrainingShape, *, backbone: Backbone, rows: int) -> float:
    """Estimate what one forward and backward pass keeps, in bytes.

    Only layers from the first one with modules upwards keep anything; below it a layer's output is
    dropped as soon as the next one has read it.
    """
    item_bytes = next(backbone.model.parameters()).element_size()
    tokens = rows * training.longest
    width = backbone.shape
    kept = KEPT_HIDDEN * width.hidden_size + KEPT_FFN * width.ffn_size + training.heads * training.longest
    # A bottleneck or a low-rank factor has about 2 * hidden size scalars for each inner unit, and keeps
    # that unit before and after its activation function.
    inner = 0 if training.trains_weights else training.trained / width.hidden_size
    passing = width.hidden_size * KEPT_HIDDEN + width.ffn_size * KEPT_FFN
    return float(tokens * item_bytes * (training.layers_with_gradient * kept + inner + passing))


def training_shape(
    *,
    trained: int,
    first_layer: int,
    split: TokenisedSplit,
    backbone: Backbone,
    trains_weights: bool = False,
) -> TrainingShape:
    """Gather what the estimate needs; a trial without modules trains on pooled vectors, one token a row."""
    heads = backbone.model.config.num_attention_heads  # type: ignore[union-attr]  # transformers ships no types
    kept = split.activations
    lengths = [len(ids) for ids in split.ids] if kept is None else kept.lengths
    layers = backbone.shape.layers - first_layer
    return TrainingShape(trained, layers, max(lengths), int(heads), trains_weights)  # type: ignore[arg-type]


def release_memory() -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_smaller_parts(train: Callable[[int], Trained]) -> Trained:
    """Return what a training gives; it gets the number by which to divide its micro-batches.

    Raises:
        OutOfMemory: If it runs out of memory each time.
    """
    reason = ""
    for divisor in MICRO_BATCH_DIVISORS:
        try:
            return train(divisor)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = f"out-of-memory: {(str(error) or 'no memory left').splitlines()[0]}"[:1000]
            log.warning("out of memory", reason=reason, micro_batch_divisor=divisor)
        # Outside the handler, where the error would hold every tensor of the training.
        release_memory()
    raise OutOfMemory(reason)
