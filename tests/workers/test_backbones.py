"""Backbones are frozen, understood, or refused."""

from types import SimpleNamespace

import pytest
import torch
from transformers import T5Config, T5EncoderModel

from service import catalogue
from workers.backbones import FAMILIES, freeze
from workers.errors import UnsupportedBackbone
from workers.resident import ResidentParts


def test_an_unknown_family_is_refused_with_a_list() -> None:
    """The message says what would work."""
    model = T5EncoderModel(T5Config(vocab_size=10, d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4))
    with pytest.raises(UnsupportedBackbone, match=r"'t5' yet.*bert.*llama"):
        freeze(model, SimpleNamespace(pad_token_id=0), name="t5", device=torch.device("cpu"))


def test_the_door_admits_exactly_the_families_that_can_be_trained() -> None:
    """A study on another family is refused when it is posted, not trial by trial."""
    assert FAMILIES.keys() == catalogue.SUPPORTED_FAMILIES


def test_minilm_is_what_its_configuration_says(resident: ResidentParts) -> None:
    """Six layers of width 384, nothing trainable, no dropout."""
    backbone = resident.backbone("all-MiniLM-L6-v2")
    assert (backbone.shape.layers, backbone.shape.hidden_size, backbone.shape.key_value_size) == (6, 384, 384)
    assert len(backbone.layers) == 6
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert not backbone.model.training


def test_a_backbone_is_loaded_once(resident: ResidentParts) -> None:
    """The second trial finds it where the first left it."""
    assert resident.backbone("all-MiniLM-L6-v2") is resident.backbone("all-MiniLM-L6-v2")
