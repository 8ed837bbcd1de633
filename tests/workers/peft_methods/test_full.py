"""Fine-tuning of the weights themselves: exact counts of every family, and a backbone that keeps its own."""

import copy

import pytest
import torch
from torch import Tensor

from api_schemas.peft.counts import adapter_flops, trainable_parameters
from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import TrialConfiguration
from tests.workers.conftest import KINDS, counted_shape, every_kind
from workers.backbones.activation_cache import ActivationCache
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch, TokenisedSplit, TokenisedTask, pad
from workers.errors import UnsupportedBackbone
from workers.peft_methods import TrialModules, attached, full, logits
from workers.saving.predictions import AnswerForm

IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
BATCH = Batch(ids=IDS, mask=(IDS != 0).long(), labels=torch.tensor([0, 1]))


def trial(first_layer: int) -> TrialConfiguration:
    peft = {"method": "full", "first_active_layer": first_layer}
    return TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})


def modules_of(backbone: Backbone, first_layer: int) -> TrialModules:
    peft = trial(first_layer).peft
    return TrialModules(peft, backbone=backbone, classes=2, seed=1).double()


def one_step(
    modules: TrialModules, backbone: Backbone, batch: Batch = BATCH, *, rate: float = 1e-2
) -> Tensor:
    """Train by one step of plain gradient descent; give the scores that it leads to."""
    modules.zero_grad()
    with attached(modules, backbone=backbone):
        loss = torch.nn.functional.cross_entropy(logits(modules, batch, backbone=backbone), batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in modules.parameters():
                parameter -= rate * parameter.grad  # type: ignore[operator]
        return logits(modules, batch, backbone=backbone).detach()


@every_kind
@pytest.mark.parametrize("first_layer", [0, 1, 2])
def test_the_count_from_the_configuration_file_is_that_of_the_tensors(
    backbone: Backbone, first_layer: int
) -> None:
    """In each family: embeddings, what layers share, the layers, the last norm; no operation is added."""
    modules = modules_of(backbone, first_layer)
    counted = sum(parameter.numel() for parameter in modules.parameters())
    shape = counted_shape(backbone)
    assert counted == trainable_parameters(trial(first_layer), shape=shape, classes=2)
    assert adapter_flops(trial(first_layer), shape=shape) == 0


def test_the_whole_network_is_trained_but_for_a_pooler(bert: Backbone) -> None:
    """Nothing here reads a pooler, so it would never get a gradient."""
    names = {name for name, _ in bert.model.named_parameters()}
    trained = full.trained_weights(bert, first_layer=0).keys()
    assert names - trained == {"pooler.dense.weight", "pooler.dense.bias"}
    assert full.count(bert, first_layer=0) == sum(
        parameter.numel() for name, parameter in bert.model.named_parameters() if name in trained
    )


def test_a_step_is_the_step_of_a_network_whose_own_weights_are_trained(backbone: Backbone) -> None:
    """Also where a weight stands in two places, as T5's embedding does."""
    plain = copy.deepcopy(backbone)
    head = copy.deepcopy(modules_of(backbone, 0).head)
    found = one_step(modules_of(backbone, 0), backbone)

    own = [*head.parameters()]
    for name, parameter in plain.model.named_parameters():
        if "pooler" not in name:
            own.append(parameter.requires_grad_())
    modules = TrialModules(Peft(), backbone=plain, classes=2, seed=1).double()
    modules.head = head
    loss = torch.nn.functional.cross_entropy(logits(modules, BATCH, backbone=plain), BATCH.labels)
    gradients = torch.autograd.grad(loss, own)
    with torch.no_grad():
        for parameter, gradient in zip(own, gradients, strict=True):
            parameter -= 1e-2 * gradient
        assert torch.allclose(logits(modules, BATCH, backbone=plain), found, atol=1e-10)


def test_a_start_from_kept_activations_takes_the_same_step(bert: Backbone) -> None:
    """The layers below the first trained one are left out."""
    split = TokenisedSplit(ids=((5, 6, 7), (8, 9, 10, 11)), labels=(0, 1))
    task = TokenisedTask(AnswerForm(labels=("a", "b")), split, split, split, {}, "0" * 64)
    kept = ActivationCache(2**20).task(task, key="t", backbone=bert, layer=2)
    assert kept.train.activations is not None
    cpu = torch.device("cpu")
    steps = [
        one_step(modules_of(bert, 2), bert, pad(one, [0, 1], pad_id=0, device=cpu))
        for one in (split, kept.train)
    ]
    assert torch.allclose(*steps, atol=1e-10)


def test_weights_that_are_kept_in_bits_are_refused(bert: Backbone) -> None:
    """There is nothing whole to train; the reason names the cure."""
    quantised = copy.deepcopy(bert)
    quantised.model.is_quantized = True  # type: ignore[assignment]
    with pytest.raises(UnsupportedBackbone, match=r"are quantised\. Take the whole weights"):
        modules_of(quantised, 0)


def test_every_family_is_here() -> None:
    """A new one is counted before it is admitted."""
    from api_schemas.model_families import FAMILIES
    from service.catalogue.backbones.weight_counts import BELOW

    assert BELOW.keys() == FAMILIES.keys()
    assert {kind.split()[0] for kind in KINDS} == FAMILIES.keys()
