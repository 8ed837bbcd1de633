"""The training loop, on one screen. Knows nothing about studies, leases or files."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from api_schemas.trial_configuration import Training
from workers.backbones import Backbone
from workers.errors import NotANumber
from workers.losses import mean_loss
from workers.peft_methods import TrialModules, logits
from workers.task_data import TokenisedSplit, micro_batches, training_batches

MAX_GRADIENT_NORM = 1.0


def fine_tune(
    modules: TrialModules,
    split: TokenisedSplit,
    *,
    backbone: Backbone,
    training: Training,
    micro_batch_tokens: int | None = None,
    measure: Callable[[int, float], None],
) -> None:
    """Train attached modules; hand each measurement its number (from 1) and the mean loss since the last.

    AdamW, linear warm-up over `warmup_fraction` of the steps, linear decay to zero, gradient norm
    clipped at 1. The order of batches depends on the seed only. A batch of more than
    `micro_batch_tokens` tokens is run in parts whose gradients are summed.

    Raises:
        NotANumber: If a loss or a gradient norm is not finite.
    """
    steps_per_epoch = math.ceil(len(split) / training.batch_size)
    steps = steps_per_epoch * training.epochs
    parameters = list(modules.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, partial(schedule_factor, steps=steps, warmup_fraction=training.warmup_fraction)
    )
    kernel = partial(training_kernel, backbone)
    measured_after = measured_steps(steps_per_epoch, training)
    step, seen, total = 0, 0, 0.0
    for epoch in range(1, training.epochs + 1):
        for batch in training_batches(
            split,
            batch_size=training.batch_size,
            pad_id=backbone.tokenizer.pad_token_id,
            seed=training.seed,
            epoch=epoch,
            device=backbone.device,
        ):
            loss = torch.zeros((), device=backbone.device)
            for part in micro_batches(batch, tokens=micro_batch_tokens):
                with kernel():
                    scores = logits(modules, part, backbone=backbone)
                    weight = len(part.labels) / len(batch.labels)
                    share = weight * mean_loss(scores, part.labels, kind=split.kind)
                    share.backward()  # type: ignore[no-untyped-call]
                loss = loss + share.detach()
            if not torch.isfinite(loss):
                raise NotANumber(f"not-a-number: the loss is {loss.item()} in epoch {epoch}")
            norm = torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            # Clipping by an infinite norm would set every gradient to zero and hide the divergence.
            if not torch.isfinite(norm):
                raise NotANumber(f"not-a-number: the gradient norm is {norm.item()} in epoch {epoch}")
            optimiser.step()
            schedule.step()
            step, seen = step + 1, seen + len(batch.labels)
            modules.after_step(step, steps)
            optimiser.zero_grad()
            total += loss.item() * len(batch.labels)
            if step in measured_after:
                measure(measured_after[step], total / seen)
                seen, total = 0, 0.0


def schedule_factor(step: int, *, steps: int, warmup_fraction: float) -> float:
    """Give what the learning rate is multiplied with at a step, counted from 0."""
    warm_up = max(1, round(warmup_fraction * steps))
    return min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))


def training_kernel(backbone: Backbone) -> AbstractContextManager[None]:
    """Choose how attention is computed while gradients are wanted."""
    # Without dropout SDPA picks the CPU flash kernel, whose bfloat16 backward pass is slow.
    slow_flash = backbone.device.type == "cpu" and next(backbone.model.parameters()).dtype == torch.bfloat16
    return sdpa_kernel(SDPBackend.MATH) if slow_flash else nullcontext()


def measured_steps(steps_per_epoch: int, training: Training) -> dict[int, int]:
    """Give the steps after which a trial is measured, each with the number of its measurement.

    Measurements divide an epoch into equal parts; an epoch of fewer steps than parts has one a step.
    """
    parts = min(training.measurements_per_epoch, steps_per_epoch)
    ends = [
        epoch * steps_per_epoch + round(part * steps_per_epoch / parts)
        for epoch in range(training.epochs)
        for part in range(1, parts + 1)
    ]
    return {end: number for number, end in enumerate(ends, start=1)}
