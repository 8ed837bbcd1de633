"""The training loop, on one screen. Knows nothing about studies, leases or files."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from opentelemetry import trace
from torch.nn.attention import SDPBackend, sdpa_kernel

from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Training
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch, TokenisedSplit, micro_batches, training_batches
from workers.errors import NotANumber
from workers.measuring.losses import distilled_loss, mean_loss
from workers.peft_methods import TrialModules, logits
from workers.spans import tracer

MAX_GRADIENT_NORM = 1.0


class StepCount:
    """Counts the steps of one training; `held_back` delays signals for the length of one."""

    def __init__(self, held_back: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.done = 0
        self._held_back = held_back

    @contextmanager
    def one(self) -> Iterator[None]:
        """Change the weights inside this block."""
        with self._held_back():
            yield
            self.done += 1


@tracer.start_as_current_span("train")
def fine_tune(
    modules: TrialModules,
    split: TokenisedSplit,
    *,
    backbone: Backbone,
    training: Training,
    micro_batch_tokens: int | None = None,
    measure: Callable[[float, float], bool],
    count: StepCount | None = None,
    backward: Callable[[Batch], float] | None = None,
) -> None:
    """Train attached modules until the last epoch, or until a measurement says stop.

    `measure` gets the share of the training that is done and the mean loss since the last time, and
    returns whether to stop. AdamW, linear warm-up over `warmup_fraction` of the steps, linear decay to
    zero, gradient norm clipped at 1. The order of batches depends on the seed only. A batch of more
    than `micro_batch_tokens` tokens is run in parts whose gradients are summed. `backward` adds the gradients
    of a batch, and returns its loss, in place of the task's own loss or the teacher's.

    Raises:
        NotANumber: If a loss or a gradient norm is not finite.
    """
    steps_per_epoch = math.ceil(len(split) / training.batch_size)
    steps = steps_per_epoch * training.epochs
    optimiser, schedule = _optimiser(modules, training, steps=steps)
    measured_after = measured_steps(steps_per_epoch, training)
    count = count or StepCount()
    backward = backward or partial(
        _backward, modules, kind=split.kind, backbone=backbone, training=training, tokens=micro_batch_tokens
    )
    seen, total = 0, 0.0
    for epoch in range(1, training.epochs + 1):
        for batch in training_batches(
            split,
            batch_size=training.batch_size,
            pad_id=backbone.tokenizer.pad_token_id,
            seed=training.seed,
            epoch=epoch,
            device=backbone.device,
        ):
            loss = backward(batch)
            norm = torch.nn.utils.clip_grad_norm_(modules.parameters(), MAX_GRADIENT_NORM)
            # Clipping by an infinite norm would set every gradient to zero and hide the divergence.
            for name, value in (("loss", loss), ("gradient norm", norm.item())):
                if not math.isfinite(value):
                    raise NotANumber(f"not-a-number: the {name} is {value} in epoch {epoch}")
            with count.one():
                optimiser.step()
                schedule.step()
                modules.after_step(count.done + 1, steps)
            seen, total = seen + len(batch.labels), total + loss * len(batch.labels)
            optimiser.zero_grad()
            if count.done in measured_after:
                if measure(count.done / steps, total / seen):
                    return
                seen, total = 0, 0.0
        trace.get_current_span().add_event("epoch", {"epoch": epoch})


def _optimiser(
    modules: TrialModules, training: Training, *, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimiser = torch.optim.AdamW(
        modules.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        # One pass over each weight: on a GPU one launch in place of hundreds, on a CPU no copies of weights.
        fused=True if modules.head.weight.device.type in ("cuda", "cpu") else None,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, partial(schedule_factor, steps=steps, warmup_fraction=training.warmup_fraction)
    )
    return optimiser, schedule


def schedule_factor(step: int, *, steps: int, warmup_fraction: float) -> float:
    """Return what the learning rate is multiplied with at a step, counted from 0."""
    warm_up = max(1, round(warmup_fraction * steps))
    return min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))


def training_kernel(backbone: Backbone) -> AbstractContextManager[None]:
    """Choose how attention is computed while gradients are wanted."""
    # Without dropout SDPA picks the CPU flash kernel, whose bfloat16 backward pass is slow.
    slow_flash = backbone.device.type == "cpu" and next(backbone.model.parameters()).dtype == torch.bfloat16
    return sdpa_kernel(SDPBackend.MATH) if slow_flash else nullcontext()


def _backward(
    modules: TrialModules,
    batch: Batch,
    *,
    kind: TaskKind,
    backbone: Backbone,
    training: Training,
    tokens: int | None,
) -> float:
    """Add the gradients of a batch's mean loss, and return that loss."""
    loss, distillation = torch.zeros((), device=backbone.device), training.distillation
    with training_kernel(backbone):
        for part in micro_batches(batch, tokens=tokens):
            scores = logits(modules, part, backbone=backbone)
            if distillation is None or part.teacher is None:
                of_part = mean_loss(scores, part.labels, kind=kind)
            else:
                of_part = distilled_loss(scores, part.labels, part.teacher, kind=kind, how=distillation)
            share = len(part.labels) / len(batch.labels) * of_part
            share.backward()  # type: ignore[no-untyped-call]
            loss = loss + share.detach()
    return loss.item()


def measured_steps(steps_per_epoch: int, training: Training) -> frozenset[int]:
    """Return the steps after which a trial is measured.

    They divide an epoch into equal parts; an epoch with fewer steps than parts is measured after each step.
    """
    parts = min(training.measurements_per_epoch, steps_per_epoch)
    return frozenset(
        epoch * steps_per_epoch + round(part * steps_per_epoch / parts)
        for epoch in range(training.epochs)
        for part in range(1, parts + 1)
    )
