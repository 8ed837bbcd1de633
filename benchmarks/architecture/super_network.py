"""A super-network: one set of weights trained for many sub-networks at once, which then are scored unchanged.

Every step trains the whole network, the smallest one and two drawn ones (the sandwich rule, arXiv
1903.05134); all but the whole one learn from its answers to the batch (in-place distillation). Scores of one
that is cut out are a guess of what training it alone would reach, and are reported as nothing else.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from api_schemas.architecture import Architecture, WhichLayers
from api_schemas.trial_configuration import Distillation, TrialConfiguration
from workers.architecture.sub_network import Orders, SubNetwork, chosen
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch, TokenisedTask, training_batches
from workers.fine_tune import MAX_GRADIENT_NORM, schedule_factor, training_kernel
from workers.measuring.evaluate import evaluate
from workers.measuring.losses import distilled_loss, mean_loss
from workers.peft_methods import TrialModules, attached, logits

IN_PLACE = Distillation(weight=1.0, temperature=1.0)
DRAWN = 2
WAYS = (WhichLayers.IMPORTANCE, WhichLayers.FIRST)


@contextmanager
def only(backbone: Backbone, kept: SubNetwork) -> Iterator[None]:
    """Compute a sub-network inside this block, with the weights of the whole one."""
    every = backbone.layer_list._modules
    gates = []
    for layer, units in zip(kept.layers, kept.ffn_units, strict=True):
        if units is not None:
            gate = torch.zeros(backbone.shape.ffn_size)
            gate[list(units)] = 1.0
            reader = backbone.part(layer, "ffn_out")
            gates.append(reader.register_forward_pre_hook(partial(_gated, gate)))
    backbone.layer_list._modules = {
        str(place): backbone.layers[layer] for place, layer in enumerate(kept.layers)
    }
    try:
        yield
    finally:
        backbone.layer_list._modules = every
        for handle in gates:
            handle.remove()


def _gated(gate: Tensor, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    return (inputs[0] * gate.to(inputs[0].dtype),)


def one_shot_losses(
    backbone: Backbone,
    task: TokenisedTask,
    base: TrialConfiguration,
    networks: Sequence[SubNetwork],
    *,
    orders: Orders,
    sizes: Sequence[tuple[int, int]],
) -> list[float]:
    """Return the validation loss of each network in a super-network, trained as `base` says.

    `sizes` are the numbers of layers and units that are drawn, the smallest first; parts begin the orders.
    """
    classes = task.answers.outputs
    modules = TrialModules(base.peft, backbone=backbone, classes=classes, seed=base.training.seed)
    with attached(modules, backbone=backbone):
        _train(modules, task, base, backbone=backbone, orders=orders, sizes=sizes)
        losses = []
        for kept in networks:
            with only(backbone, kept):
                found = evaluate(modules, task.validation, backbone=backbone, classes=classes)
            losses.append(found.loss)
    return losses


def _train(
    modules: TrialModules,
    task: TokenisedTask,
    base: TrialConfiguration,
    *,
    backbone: Backbone,
    orders: Orders,
    sizes: Sequence[tuple[int, int]],
) -> None:
    training = base.training
    draw = random.Random(training.seed)  # noqa: S311  no secret
    steps = math.ceil(len(task.train) / training.batch_size) * training.epochs
    factor = partial(schedule_factor, steps=steps, warmup_fraction=training.warmup_fraction)
    optimiser = torch.optim.AdamW(
        modules.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    for epoch in range(1, training.epochs + 1):
        for batch in training_batches(
            task.train,
            batch_size=training.batch_size,
            pad_id=backbone.tokenizer.pad_token_id,
            seed=training.seed,
            epoch=epoch,
            device=backbone.device,
        ):
            smaller = [
                _cut(size, orders, which=draw.choice(WAYS))
                for size in (sizes[0], *(draw.choice(sizes) for _ in range(DRAWN)))
            ]
            _backward(modules, batch, smaller, task=task, backbone=backbone)
            torch.nn.utils.clip_grad_norm_(modules.parameters(), MAX_GRADIENT_NORM)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()


def _cut(size: tuple[int, int], orders: Orders, *, which: WhichLayers) -> SubNetwork:
    return chosen(Architecture(keep_layers=size[0], ffn_width=size[1], which=which), orders)


def _backward(
    modules: TrialModules,
    batch: Batch,
    smaller: Sequence[SubNetwork],
    *,
    task: TokenisedTask,
    backbone: Backbone,
) -> None:
    """Add the gradients of the whole network, and of the smaller ones that learn from it."""
    kind = task.train.kind
    with training_kernel(backbone):
        whole = logits(modules, batch, backbone=backbone)
        mean_loss(whole, batch.labels, kind=kind).backward()  # type: ignore[no-untyped-call]
        for kept in smaller:
            with only(backbone, kept):
                answers = logits(modules, batch, backbone=backbone)
            loss = distilled_loss(answers, batch.labels, whole.detach(), kind=kind, how=IN_PLACE)
            loss.backward()  # type: ignore[no-untyped-call]
