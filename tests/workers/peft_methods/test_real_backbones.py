"""Every method on pretrained weights: MPNet-base, and SmolLM2 with its grouped key-value heads."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from api_schemas.model_families import FAMILIES
from api_schemas.peft.registry import Peft
from service.catalogue.backbones import by_name
from tests.workers.conftest import CPU
from workers.backbones.loading import Backbone, load_backbone
from workers.data.task_data import Batch
from workers.peft_methods import TrialModules, attached, logits

pytestmark = pytest.mark.slow

NAMES = ["all-mpnet-base-v2", "SmolLM2-135M-Instruct"]
TEXTS = ["A moving film.", "Dull, and far too long.", "I laughed all the way home.", "Never again."]
METHODS = {
    "serial adapter": {"serial_adapter": {"bottleneck_size": 8}},
    "parallel adapter": {"parallel_adapter": {"bottleneck_size": 8}},
    "prefix": {"prefix_tuning": {"length": 4}},
    "lora": {"lora": {"rank": 4, "key": True, "attention_output": True, "ffn_in": True, "ffn_out": True}},
}


@pytest.fixture(scope="module", params=NAMES)
def real(request: pytest.FixtureRequest) -> Backbone:
    return in_float32(request.param)


def in_float32(name: str) -> Backbone:
    """One step of gradient descent is smaller than bfloat16 can show."""
    backbone = load_backbone(name, models_dir=None, device=CPU)
    backbone.model.float()
    return backbone


def batch_for(backbone: Backbone) -> Batch:
    tokens = backbone.tokenizer(TEXTS, padding=True, padding_side="right", return_tensors="pt")
    return Batch(ids=tokens["input_ids"], mask=tokens["attention_mask"], labels=torch.tensor([1, 0, 1, 0]))


def hidden_states(backbone: Backbone, batch: Batch) -> Tensor:
    with torch.inference_mode():
        output = backbone.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    found: Tensor = output.last_hidden_state[batch.mask.bool()]
    return found


def test_the_shape_known_before_loading_is_the_shape_loaded(real: Backbone) -> None:
    """The catalogue writes it down, because there is no file to read it from yet."""
    assert real.shape == by_name.backbone_shape(real.name, models_dir=None)
    assert real.model.config.model_type in FAMILIES  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["serial adapter", "parallel adapter", "lora"])
def test_training_starts_from_the_backbone_as_it_is(real: Backbone, method: str) -> None:
    """What starts at zero changes nothing."""
    batch = batch_for(real)
    modules = TrialModules(Peft.model_validate(METHODS[method]), backbone=real, classes=2, seed=0)
    with attached(modules, backbone=real):
        found = hidden_states(real, batch)
    assert torch.allclose(found, hidden_states(real, batch), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_one_step_lowers_the_loss(real: Backbone, method: str) -> None:
    """Gradients of pretrained weights point where they should, through all layers."""
    batch = batch_for(real)
    modules = TrialModules(Peft.model_validate(METHODS[method]), backbone=real, classes=2, seed=0)
    modules.head.requires_grad_(requires_grad=False)  # so that only the method can lower it
    with attached(modules, backbone=real):
        before = functional.cross_entropy(logits(modules, batch, backbone=real), batch.labels)
        before.backward()  # type: ignore[no-untyped-call]
        steepest = sum(p.grad.square().sum() for p in modules.parameters() if p.grad is not None)
        with torch.no_grad():
            for parameter in modules.parameters():
                if parameter.grad is not None:
                    # To first order this lowers the loss by a hundredth.
                    parameter -= 0.01 / steepest * parameter.grad
            after = functional.cross_entropy(logits(modules, batch, backbone=real), batch.labels)
    assert after < before


def test_the_prefix_has_one_row_per_key_value_head() -> None:
    """Nine query heads share three key-value heads; transformers' own cache gives the same numbers."""
    smollm = in_float32("SmolLM2-135M-Instruct")
    batch = batch_for(smollm)
    modules = TrialModules(Peft.model_validate(METHODS["prefix"]), backbone=smollm, classes=2, seed=0)
    found = modules.state_dict()
    cache = DynamicCache()
    for layer in range(30):
        key, value = (
            found[f"layers.{layer}.prefix_tuning.{part}"].view(4, 3, 64).transpose(0, 1).expand(4, -1, -1, -1)
            for part in ("key", "value")
        )
        cache.update(key, value, layer)
    with torch.inference_mode():
        expected = smollm.model(
            input_ids=batch.ids,
            attention_mask=torch.cat([torch.ones(4, 4, dtype=torch.long), batch.mask], dim=1),
            position_ids=torch.arange(batch.ids.shape[1]).expand(4, -1),
            past_key_values=cache,
        ).last_hidden_state[batch.mask.bool()]
    with attached(modules, backbone=smollm):
        ours = hidden_states(smollm, batch)
    assert torch.allclose(ours, expected, atol=1e-3)
    assert (ours - hidden_states(smollm, batch)).abs().max() > 0.1
