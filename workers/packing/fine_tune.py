"""The training loop of a pack. Knows nothing about studies, leases or files."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from opentelemetry import trace
from torch import Tensor

from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Training
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.fine_tune import MAX_GRADIENT_NORM, StepCount, measured_steps, schedule_factor, training_kernel
from workers.measuring.losses import row_losses
from workers.packing.adamw import StackedAdamW, clip_each_trial
from workers.packing.batches import PackedBatch, packed_batches
from workers.packing.modules import PackedModules, packed_logits
from workers.spans import tracer


@tracer.start_as_current_span("train")
def fine_tune_packed(
    packed: PackedModules,
    split: TokenisedSplit,
    *,
    backbone: Backbone,
    recipes: Sequence[Training],
    measure: Callable[[float, Sequence[float]], bool],
    count: StepCount | None = None,
) -> None:
    """Train attached modules as `fine_tune` would train each trial alone; one recipe for each trial.

    `measure` gets the share of the training that is done and each trial's mean loss since the last
    time; it may end trials, and returns whether all have ended. A trial whose loss or gradient norm is not
    finite ends too, with the reason in `packed.ended`; the others are not affected.
    """
    common = recipes[0]
    steps_per_epoch = math.ceil(len(split) / common.batch_size)
    steps = steps_per_epoch * common.epochs
    optimiser = StackedAdamW(
        packed.stack,
        learning_rates=learning_rates(recipes, steps=steps),
        weight_decays=[recipe.weight_decay for recipe in recipes],
    )
    measured_after = measured_steps(steps_per_epoch, common)
    count = count or StepCount()
    seen, totals = [0] * len(recipes), [0.0] * len(recipes)
    for epoch in range(1, common.epochs + 1):
        for batch in packed_batches(
            split,
            recipes=recipes,
            pad_id=backbone.tokenizer.pad_token_id,
            epoch=epoch,
            device=backbone.device,
        ):
            with training_kernel(backbone):
                losses = packed_losses(packed, batch, backbone=backbone, kind=split.kind)
                packed.stack.differentiate(losses.sum())
            norms = clip_each_trial(packed.stack.gradients, MAX_GRADIENT_NORM)
            # One wait for the device a step, however many trials there are.
            loss_values, norm_values = torch.stack([losses.detach(), norms]).tolist()
            _end_diverged(packed, loss_values, norm_values, epoch=epoch)
            if len(packed.ended) == len(recipes):
                return
            with count.one():
                optimiser.step()
            seen = [before + rows for before, rows in zip(seen, batch.counts, strict=True)]
            totals = [
                total + loss * rows
                for total, loss, rows in zip(totals, loss_values, batch.counts, strict=True)
            ]
            if count.done in measured_after:
                means = [total / rows for total, rows in zip(totals, seen, strict=True)]
                if measure(count.done / steps, means):
                    return
                seen, totals = [0] * len(recipes), [0.0] * len(recipes)
        trace.get_current_span().add_event("epoch", {"epoch": epoch})


def packed_losses(
    packed: PackedModules, batch: PackedBatch, *, backbone: Backbone, kind: TaskKind
) -> Float[Tensor, " trials"]:
    """Return each trial's mean loss over its real rows. No loss depends on another trial's tensors."""
    scores = packed_logits(packed, batch.rows, backbone=backbone)
    of_rows = row_losses(scores.flatten(0, 1), batch.rows.labels, kind=kind).view(batch.real.shape)
    return (of_rows * batch.real).sum(dim=1) / batch.real.sum(dim=1)


def learning_rates(recipes: Sequence[Training], *, steps: int) -> Float[Tensor, "steps trials"]:
    """Return the learning rate of each trial at each step, in double precision."""
    return torch.tensor(
        [
            [
                recipe.learning_rate
                * schedule_factor(step, steps=steps, warmup_fraction=recipe.warmup_fraction)
                for recipe in recipes
            ]
            for step in range(steps)
        ],
        dtype=torch.double,
    )


def _end_diverged(
    packed: PackedModules, losses: Sequence[float], norms: Sequence[float], *, epoch: int
) -> None:
    for trial, (loss, norm) in enumerate(zip(losses, norms, strict=True)):
        if not math.isfinite(loss):
            packed.end(trial, f"not-a-number: the loss is {loss} in epoch {epoch}")
        elif not math.isfinite(norm):
            packed.end(trial, f"not-a-number: the gradient norm is {norm} in epoch {epoch}")
