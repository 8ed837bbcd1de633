"""A super-network: one set of weights trained for many sub-networks at once, which then are scored unchanged.

Every step trains the whole network, the smallest one and two drawn ones (the sandwich rule, arXiv
1903.05134); all but the whole one learn from its answers to the batch (in-place distillation). The score of
one that is cut out is a guess of what training it alone would reach, and is reported as nothing else.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Distillation, Training
from workers.architecture.heads import head_counts
from workers.architecture.importance import measuring_rows
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch, TokenisedTask, micro_batches
from workers.fine_tune import fine_tune, training_kernel
from workers.measuring.evaluate import Evaluation, evaluate
from workers.measuring.losses import distilled_loss, mean_loss
from workers.peft_methods import TrialModules, attached, logits
from workers.spans import tracer

IN_PLACE = Distillation(weight=1.0, temperature=1.0)
DRAWN = 2


@dataclass(frozen=True)
class Sizes:
    """What a super-network is trained for besides the whole: in each step one of `smallest`, two of `all`."""

    smallest: Sequence[SubNetwork]
    all: Sequence[SubNetwork]

    def draw(self, chance: random.Random) -> list[SubNetwork]:
        """Return the networks that learn from the whole one in a step."""
        return [chance.choice(self.smallest), *(chance.choice(self.all) for _ in range(DRAWN))]


@contextmanager
def only(backbone: Backbone, kept: SubNetwork) -> Iterator[None]:
    """Compute a sub-network inside this block, with the weights of the whole one."""
    every = backbone.layer_list._modules
    gates = []
    for place, layer in enumerate(kept.layers):
        units, heads = kept.ffn_units[place], None if kept.heads is None else kept.heads[place]
        if units is not None:
            gate = torch.zeros(backbone.shape.ffn_size, device=backbone.device)
            gate[list(units)] = 1.0
            gates.append(_gate(backbone.part(layer, "ffn_out"), gate))
        if heads is not None:
            of_head = torch.zeros(head_counts(backbone.model.config)[0], device=backbone.device)
            of_head[list(heads)] = 1.0
            gate = of_head.repeat_interleave(backbone.shape.query_size // len(of_head))
            gates.append(_gate(backbone.part(layer, "attention_output"), gate))
    backbone.layer_list._modules = {
        str(place): backbone.layers[layer] for place, layer in enumerate(kept.layers)
    }
    try:
        yield
    finally:
        backbone.layer_list._modules = every
        for handle in gates:
            handle.remove()


def _gate(reader: nn.Module, gate: Tensor) -> torch.utils.hooks.RemovableHandle:
    return reader.register_forward_pre_hook(lambda _, inputs: (inputs[0] * gate.to(inputs[0].dtype),))


@tracer.start_as_current_span("train super-network")
def evaluations(
    modules: TrialModules,
    networks: Sequence[SubNetwork],
    *,
    training: Training,
    backbone: Backbone,
    task: TokenisedTask,
    sizes: Sizes,
    micro_batch_tokens: int | None = None,
) -> list[Evaluation]:
    """Return what each network reaches on validation rows in a super-network that modules are trained as.

    At most `MEASURING_ROWS` rows are read, the same for all networks. The backbone is whole again afterwards,
    with the weights of before.

    Raises:
        NotANumber: If the training diverges.
    """
    chance = random.Random(training.seed)  # noqa: S311  no secret

    def backward(batch: Batch) -> float:
        smaller = sizes.draw(chance)
        kind, tokens = task.train.kind, micro_batch_tokens
        return _backward(modules, batch, smaller, kind=kind, backbone=backbone, tokens=tokens)

    rows = measuring_rows(task.validation)
    found = []
    with attached(modules, backbone=backbone):
        fine_tune(
            modules,
            task.train,
            backbone=backbone,
            training=training,
            measure=lambda _share, _loss: False,
            backward=backward,
        )
        for kept in networks:
            with only(backbone, kept):
                found.append(evaluate(modules, rows, backbone=backbone, classes=task.answers.outputs))
    return found


def _backward(
    modules: TrialModules,
    batch: Batch,
    smaller: Sequence[SubNetwork],
    *,
    kind: TaskKind,
    backbone: Backbone,
    tokens: int | None,
) -> float:
    """Add the gradients of the whole network, whose loss is returned, and of those that learn from it."""
    total = 0.0
    with training_kernel(backbone):
        for part in micro_batches(batch, tokens=tokens):
            share = len(part.labels) / len(batch.labels)
            whole = logits(modules, part, backbone=backbone)
            loss = share * mean_loss(whole, part.labels, kind=kind)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
            for kept in smaller:
                with only(backbone, kept):
                    answers = logits(modules, part, backbone=backbone)
                loss = share * distilled_loss(answers, part.labels, whole.detach(), kind=kind, how=IN_PLACE)
                loss.backward()  # type: ignore[no-untyped-call]
    return total
