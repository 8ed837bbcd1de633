"""Trained tokens have the width of the tokens beside them, which is not always that of the layers."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModel

from api_schemas.peft.counts import trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration
from service.catalogue.backbones import by_name
from tests.checkpoints import save_checkpoint
from tests.workers.conftest import CPU
from workers.backbones.loading import load_backbone
from workers.measuring.costs import count_trainable
from workers.peft_methods import TrialModules, attached
from workers.saving.hf_format import save_peft_format

IDS = torch.tensor([[2, 3, 5, 6]])


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning"])
def test_a_prompt_fits_a_factorised_embedding(method: str, tmp_path: Path) -> None:
    """ELECTRA's tokens are 8 wide and its layers 16: counted, run and loaded by peft at 8."""
    save_checkpoint("electra", tmp_path / "mine")
    backbone = load_backbone("local:mine", models_dir=tmp_path, device=CPU)
    configuration = TrialConfiguration.model_validate({
        "backbone": "local:mine", "task": {"name": "t"},
        "peft": {"method": method, "library": {"virtual_tokens": 3}},
    })  # fmt: skip
    modules = TrialModules(configuration.peft, backbone=backbone, classes=2, seed=0)
    shape = by_name.backbone_shape("local:mine", models_dir=tmp_path)
    assert count_trainable(modules) == trainable_parameters(configuration, shape=shape, classes=2)
    with attached(modules, backbone=backbone), torch.inference_mode():
        hidden = backbone.model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
    assert hidden.shape == (1, 4, 16)
    (tmp_path / "trial").mkdir()
    save_peft_format(modules, tmp_path / "trial", backbone=backbone)
    plain = AutoModel.from_pretrained(tmp_path / "mine")
    loaded = PeftModel.from_pretrained(plain, tmp_path / "trial").eval()
    with torch.inference_mode():
        found = loaded(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
    assert torch.allclose(found[:, -4:], hidden, atol=1e-5)
