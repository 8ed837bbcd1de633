"""Changes of weights end up in the weights, also where projections are fused, transposed or lack a bias."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import AutoModel, PreTrainedTokenizerFast

from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import TrialConfiguration
from service.artifacts.artifact_store import store_at
from tests.workers.conftest import CPU, tiny
from workers.backbones.loading import load_backbone, model_class
from workers.data.task_data import Batch
from workers.errors import ArtifactError
from workers.peft_methods import TrialModules, attached, logits
from workers.saving.artifacts import save_trial
from workers.saving.merged import export_merged
from workers.saving.predictions import AnswerForm

IDS = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 1]])
MASK = torch.ones_like(IDS)
ALL = dict.fromkeys(("query", "key", "value", "attention_output", "ffn_in", "ffn_out"), True)
LORA = {"lora": {"rank": 2, "alpha": 5.0, **ALL}}
UNEVEN = {"lora": {"alpha": 5.0, "by_layer": [{"query": 2, "value": 3}, {}, {"key": 1, "ffn_out": 2}]}}
SCALED = {**UNEVEN, "scale_shift": {"by_layer": [True, False, True]}}


def saved(kind: str, peft: dict[str, Any], folder: Path) -> tuple[Tensor, Tensor]:
    """Save a trained-looking trial on a tiny network; give its scores and its hidden states."""
    source = folder / "models" / "tiny"
    tiny(kind).model.float().save_pretrained(source)  # type: ignore[operator]
    words = Tokenizer(WordLevel({"<pad>": 0, "word": 1}, unk_token="<pad>"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>").save_pretrained(source)
    backbone = load_backbone("local:tiny", models_dir=folder / "models", device=CPU)
    backbone.model.float()
    modules = TrialModules(Peft.model_validate(peft), backbone=backbone, classes=2, seed=5)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    configuration = TrialConfiguration.model_validate(
        {"backbone": "local:tiny", "task": {"name": "t"}, "peft": peft, "training": {"seed": 5}}
    )
    answers = AnswerForm(labels=("no", "yes"))
    save_trial(
        modules, configuration, backbone=backbone, answers=answers, store=store_at(str(folder)), path="trial"
    )
    batch = Batch(ids=IDS, mask=MASK, labels=torch.tensor([0, 1]))
    with attached(modules, backbone=backbone), torch.inference_mode():
        hidden = backbone.model(input_ids=IDS, attention_mask=MASK).last_hidden_state
        return logits(modules, batch, backbone=backbone), hidden


@pytest.mark.parametrize("peft", [LORA, UNEVEN, SCALED], ids=["lora", "by layer", "scaled"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "distilbert"])
def test_a_merged_network_scores_as_the_trial_does(kind: str, peft: dict[str, Any], tmp_path: Path) -> None:
    """In float32, without us: also where query, key and value are thirds of one transposed matrix."""
    expected, _ = saved(kind, peft, tmp_path)
    merged = export_merged(tmp_path / "trial", tmp_path / "merged", models_dir=tmp_path / "models")
    head = load_file(merged / "head.safetensors")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(merged).eval()(input_ids=IDS, attention_mask=MASK)
    pooled = hidden.last_hidden_state.mean(dim=1)
    assert torch.allclose(pooled @ head["weight"].T + head["bias"], expected, atol=1e-4)


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "t5"])
def test_fine_tuned_weights_stand_in_the_places_of_the_backbones(
    kind: str, first: int, tmp_path: Path
) -> None:
    """The whole network, loaded by transformers alone, has the trial's hidden states."""
    _, hidden = saved(kind, {"method": "full", "first_active_layer": first}, tmp_path)
    merged = export_merged(tmp_path / "trial", tmp_path / "merged", models_dir=tmp_path / "models")
    found = model_class(kind).from_pretrained(merged).eval()
    with torch.inference_mode():
        output = found(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.allclose(output, hidden, atol=1e-5)
    written = load_file(merged / "model.safetensors")
    assert written.keys() == load_file(tmp_path / "models" / "tiny" / "model.safetensors").keys()
    trained = {
        name.removeprefix("library."): tensor
        for name, tensor in load_file(tmp_path / "trial" / "weights.safetensors").items()
        if name.startswith("library.")
    }
    assert all(torch.equal(written[name], tensor) for name, tensor in trained.items())


def test_lora_of_a_network_without_biases_is_merged(tmp_path: Path) -> None:
    """An update of a weight needs no bias."""
    expected, _ = saved("llama", UNEVEN, tmp_path)
    merged = export_merged(tmp_path / "trial", tmp_path / "merged", models_dir=tmp_path / "models")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(merged).eval()(input_ids=IDS, attention_mask=MASK)
    head = load_file(merged / "head.safetensors")
    pooled = hidden.last_hidden_state.mean(dim=1)
    assert torch.allclose(pooled @ head["weight"].T + head["bias"], expected, atol=1e-4)


def test_a_shift_needs_a_bias(tmp_path: Path) -> None:
    """Llama has none; the sentence names the projection, and nothing is written."""
    saved("llama", SCALED, tmp_path)
    with pytest.raises(ArtifactError, match="query of 'local:tiny' has no bias that could hold a shift"):
        export_merged(tmp_path / "trial", tmp_path / "merged", models_dir=tmp_path / "models")
    assert not (tmp_path / "merged").exists()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("peft", [LORA, UNEVEN], ids=["lora", "by layer"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "t5"])
def test_peft_loads_our_lora_of_any_family(kind: str, peft: dict[str, Any], tmp_path: Path) -> None:
    """The same hidden states, also where one module holds several projections."""
    _, expected = saved(kind, peft, tmp_path)
    backbone = load_backbone("local:tiny", models_dir=tmp_path / "models", device=CPU)
    model = copy.deepcopy(backbone.model).float()
    loaded = PeftModel.from_pretrained(model, tmp_path / "trial").eval()
    with torch.inference_mode():
        found = loaded(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)
