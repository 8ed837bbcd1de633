"""Frozen backbones: the real MiniLM, and tiny random networks of two families in double precision."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModel, BertConfig, LlamaConfig

from api_schemas.trial_configuration import TrialConfiguration
from workers.backbones import Backbone, freeze
from workers.resident import ResidentParts

CPU = torch.device("cpu")
SMALL = {
    "backbone": "all-MiniLM-L6-v2",
    "task": {"name": "rotten-tomatoes", "train_rows": 32, "validation_rows": 16, "test_rows": 16},
    "training": {"epochs": 2, "batch_size": 8, "max_length": 16},
    "peft": {"active_layers": [False] * 5 + [True], "serial_adapter": {"bottleneck_size": 4}},
}


def tiny(family: str) -> Backbone:
    torch.manual_seed(0)
    if family == "bert":
        configuration = BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32
        )
    else:
        configuration = LlamaConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=32,
        )  # fmt: skip
    model = AutoModel.from_config(configuration, attn_implementation="sdpa").double()
    return freeze(model, SimpleNamespace(pad_token_id=0), name=family, device=CPU)


@pytest.fixture
def bert() -> Backbone:
    return tiny("bert")


@pytest.fixture
def llama() -> Backbone:
    return tiny("llama")


@pytest.fixture(params=["bert", "llama"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return tiny(request.param)


@pytest.fixture(scope="session")
def resident() -> ResidentParts:
    return ResidentParts(None, device=CPU)


@pytest.fixture
def small_trial() -> TrialConfiguration:
    return TrialConfiguration.model_validate(SMALL)


@pytest.fixture
def artifacts_dir(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"
