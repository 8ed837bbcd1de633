"""The training loop, on one screen. Knows nothing about studies, leases or files."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from api_schemas.trial_configuration import Training
from workers.backbones import Backbone
from workers.errors import NotANumber
from workers.losses import mean_loss
from workers.peft_methods import TrialModules, logits
from workers.task_data import TokenisedSplit, training_batches

MAX_GRADIENT_NORM = 1.0


def fine_tune(
    modules: TrialModules,
    split: TokenisedSplit,
    *,
    backbone: Backbone,
    training: Training,
    after_epoch: Callable[[int, float], None],
) -> None:
    """Train attached modules; after each epoch hand over its number (from 1) and its mean loss.

    AdamW, linear warm-up over `warmup_fraction` of the steps, linear decay to zero, gradient norm
    clipped at 1. The order of batches depends on the seed only.

    Raises:
        NotANumber: If a loss or a gradient norm is not finite.
    """
    steps_per_epoch = math.ceil(len(split) / training.batch_size)
    steps = steps_per_epoch * training.epochs
    warm_up = max(1, round(training.warmup_fraction * steps))
    parameters = list(modules.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
    )
    # Without dropout SDPA picks the CPU flash kernel, whose bfloat16 backward pass is slow.
    slow_flash = backbone.device.type == "cpu" and next(backbone.model.parameters()).dtype == torch.bfloat16
    kernel = partial(sdpa_kernel, SDPBackend.MATH) if slow_flash else nullcontext
    for epoch in range(1, training.epochs + 1):
        total = 0.0
        for batch in training_batches(
            split,
            batch_size=training.batch_size,
            pad_id=backbone.tokenizer.pad_token_id,
            seed=training.seed,
            epoch=epoch,
            device=backbone.device,
        ):
            with kernel():
                loss = mean_loss(logits(modules, batch, backbone=backbone), batch.labels, kind=split.kind)
                loss.backward()  # type: ignore[no-untyped-call]
            if not torch.isfinite(loss):
                raise NotANumber(f"not-a-number: the loss is {loss.item()} in epoch {epoch}")
            norm = torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            # Clipping by an infinite norm would set every gradient to zero and hide the divergence.
            if not torch.isfinite(norm):
                raise NotANumber(f"not-a-number: the gradient norm is {norm.item()} in epoch {epoch}")
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            total += loss.item() * len(batch.labels)
        after_epoch(epoch, total / len(split))
