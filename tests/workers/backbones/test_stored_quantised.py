"""Folders whose weights bitsandbytes has quantised already: trained on, or refused with a sentence."""

import json
from importlib import util
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BitsAndBytesConfig

from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import Quantisation
from service.catalogue.backbones import by_name
from service.errors import InvalidStudy, UnknownBackbone
from service.settings import settings
from service.studies.validation import validate_study
from tests.checkpoints import save_checkpoint, save_tokenizer
from tests.conftest import make_study_request
from tests.paretune.test_export import exported
from tests.workers.conftest import CPU
from workers.backbones.loading import load_backbone
from workers.data.task_data import Batch
from workers.errors import ArtifactError, UnsupportedBackbone
from workers.measuring.costs import count_trainable
from workers.peft_methods import TrialModules, attached, logits
from workers.saving.artifacts import load_classifier
from workers.saving.merged import export_merged

IDS = torch.tensor([[2, 3, 5, 6], [2, 3, 7, 0]])
BATCH = Batch(ids=IDS, mask=(IDS != 0).long(), labels=torch.tensor([1, 0]))
BITS = ["4bit", "8bit"]
pytestmark = [
    pytest.mark.skipif(
        util.find_spec("bitsandbytes") is None, reason="bitsandbytes has no build for this system"
    ),
    pytest.mark.filterwarnings("ignore:MatMul8bitLt"),
]


def quantise(source: Path, folder: Path, bits: str, **more: object) -> Path:
    asked = BitsAndBytesConfig(**{f"load_in_{bits}": True}, **more)
    model = AutoModel.from_pretrained(source, quantization_config=asked, device_map={"": CPU})
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_a_quantised_folder_is_read_at_the_door_and_trained_on(kind: str, bits: str, tmp_path: Path) -> None:
    """The sizes are those of the whole weights, and a gradient reaches every trained tensor."""
    whole = save_checkpoint(kind, tmp_path / "whole")
    quantise(whole, tmp_path / "small", bits)
    found = by_name.checkpoint("local:small", models_dir=tmp_path)
    assert found.quantised is Quantisation(bits)
    assert found.shape == by_name.backbone_shape("local:whole", models_dir=tmp_path)
    small = load_backbone("local:small", models_dir=tmp_path, device=CPU)
    assert small.shape == found.shape
    modules = TrialModules(
        Peft.model_validate({"serial_adapter": {"bottleneck_size": 4}, "lora": {"rank": 2}}),
        backbone=small,
        classes=2,
        seed=0,
    )
    with attached(modules, backbone=small):
        scores = logits(modules, BATCH, backbone=small)
        scores.sum().backward()  # type: ignore[no-untyped-call]
    assert scores.isfinite().all()
    assert all(parameter.grad is not None for parameter in modules.parameters())


def test_half_precision_that_was_asked_for_elsewhere_is_trained_on_a_cpu(tmp_path: Path) -> None:
    """Folders of other people compute in float16, because their GPU did."""
    whole = save_checkpoint("llama", tmp_path / "whole")
    quantise(whole, tmp_path / "small", "4bit", bnb_4bit_compute_dtype=torch.float16)
    small = load_backbone("local:small", models_dir=tmp_path, device=CPU)
    modules = TrialModules(Peft.model_validate({"lora": {"rank": 2}}), backbone=small, classes=2, seed=0)
    with attached(modules, backbone=small):
        assert logits(modules, BATCH, backbone=small).isfinite().all()


def test_packed_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    """Half a byte for each number that the configuration promises."""
    folder = quantise(save_checkpoint("llama", tmp_path / "whole"), tmp_path / "small", "4bit")
    configuration = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**configuration, "intermediate_size": 48}))
    with pytest.raises(UnknownBackbone, match=r"'mlp.up_proj.weight' of layer 0 is not 48 x 16 numbers in 4"):
        by_name.checkpoint("local:small", models_dir=tmp_path)


@pytest.mark.parametrize("bits", BITS)
def test_whole_weights_that_are_called_quantised_are_refused(bits: str, tmp_path: Path) -> None:
    """Bitsandbytes would fail in training; where modules are left out by name, some may be whole."""
    folder = save_checkpoint("llama", tmp_path / "mine")
    configuration = json.loads((folder / "config.json").read_text())
    given: dict[str, object] = {"quant_method": "bitsandbytes", f"load_in_{bits}": True}
    (folder / "config.json").write_text(json.dumps({**configuration, "quantization_config": given}))
    with pytest.raises(UnknownBackbone, match=f"q_proj.weight' of layer 0 is whole, and .* in {bits}; take"):
        by_name.checkpoint("local:mine", models_dir=tmp_path)


@pytest.mark.parametrize("bits", BITS)
def test_modules_that_were_left_out_may_be_whole(bits: str, tmp_path: Path) -> None:
    """Read at the door, loaded, and run."""
    whole = save_checkpoint("llama", tmp_path / "whole")
    quantise(whole, tmp_path / "small", bits, llm_int8_skip_modules=["v_proj"])
    assert by_name.checkpoint("local:small", models_dir=tmp_path).quantised is Quantisation(bits)
    small = load_backbone("local:small", models_dir=tmp_path, device=CPU)
    modules = TrialModules(Peft.model_validate({"lora": {"rank": 2}}), backbone=small, classes=2, seed=0)
    with attached(modules, backbone=small):
        assert logits(modules, BATCH, backbone=small).isfinite().all()


def test_a_quantised_folder_is_not_quantised_again(tmp_path: Path) -> None:
    """Its own bits stay; the sentence says what to leave out."""
    quantise(save_checkpoint("bert", tmp_path / "whole"), tmp_path / "small", "4bit")
    with pytest.raises(UnsupportedBackbone, match=r"quantised already \(4bit\); leave 'quantisation' out"):
        load_backbone("local:small", models_dir=tmp_path, device=CPU, quantisation=Quantisation.EIGHT_BIT)


def test_a_quantised_folder_needs_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cure is one line to copy."""
    quantise(save_checkpoint("bert", tmp_path / "whole"), tmp_path / "small", "4bit")
    monkeypatch.setattr("workers.backbones.quantisation.find_spec", lambda _: None)
    with pytest.raises(UnsupportedBackbone, match="pip install bitsandbytes"):
        load_backbone("local:small", models_dir=tmp_path, device=CPU)


@pytest.mark.parametrize("method", ["dora", "pissa", "olora", "boft", "hra"])
def test_a_method_that_reads_frozen_weights_is_the_trials_reason(method: str, tmp_path: Path) -> None:
    """Where the folder was exchanged behind the door's back."""
    quantise(save_checkpoint("llama", tmp_path / "whole"), tmp_path / "small", "4bit")
    small = load_backbone("local:small", models_dir=tmp_path, device=CPU)
    peft = Peft.model_validate({"method": method, "library": {"rank": 4, "block_size": 2}})
    with pytest.raises(UnsupportedBackbone, match=f"{method} computes with the frozen weights"):
        TrialModules(peft, backbone=small, classes=2, seed=0)


@pytest.mark.usefixtures("service_environment")
@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"peft": {"method": "dora"}}, "/configuration/peft/method"),
        ({"peft": {"method": "pissa"}}, "/configuration/peft/method"),
        ({"quantisation": "4bit"}, "/configuration/quantisation"),
        ({"quantisation": "8bit"}, "/configuration/quantisation"),
    ],
)
def test_what_cannot_work_on_a_quantised_folder_is_refused_at_the_door(
    changes: dict[str, object], pointer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """422 with the field to blame, and the backbone's name."""
    quantise(save_checkpoint("llama", tmp_path / "whole"), tmp_path / "small", "4bit")
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path))
    settings.cache_clear()
    configuration = {"backbone": "local:small", "task": {"name": "rotten-tomatoes"}, **changes}
    request = make_study_request(
        configuration=configuration,
        search_space={
            "parameters": [{"name": "training.learning_rate", "type": "float", "low": 1e-4, "high": 1e-3}]
        },
    )
    with pytest.raises(InvalidStudy) as refused:
        validate_study(request, tenant_id="tnt_1")
    found = {error.pointer: error.detail for error in refused.value.errors}
    assert "local:small" in found[pointer]
    assert "4bit" in found[pointer]


def test_a_trial_on_a_quantised_folder_is_loaded_and_not_merged(tmp_path: Path) -> None:
    """The sentence says why and what to use in its place; nothing is written."""
    quantise(save_checkpoint("llama", tmp_path / "whole"), tmp_path / "small", "4bit")
    trial = exported({"lora": {"rank": 2}}, tmp_path / "trial", name="local:small", models_dir=tmp_path)
    assert len(load_classifier(trial, models_dir=tmp_path).predict(["a good film", "is dull"])) == 2
    with pytest.raises(ArtifactError, match=r"hold its weights in 4bit.*cannot be merged. Use load.py"):
        export_merged(trial, tmp_path / "merged", models_dir=tmp_path)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("method", ["lora", "ia3", "vera", "prompt_tuning", "ln_tuning"])
def test_the_count_on_a_quantised_folder_is_exact(method: str, tmp_path: Path) -> None:
    """As the API counts it from the shape alone."""
    from api_schemas.peft.counts import trainable_parameters
    from api_schemas.trial_configuration import TrialConfiguration

    quantise(save_checkpoint("llama", tmp_path / "whole"), tmp_path / "small", "4bit")
    small = load_backbone("local:small", models_dir=tmp_path, device=CPU)
    configuration = TrialConfiguration.model_validate(
        {"backbone": "local:small", "task": {"name": "t"}, "peft": {"method": method}}
    )
    modules = TrialModules(configuration.peft, backbone=small, classes=2, seed=0)
    shape = by_name.backbone_shape("local:small", models_dir=tmp_path)
    assert count_trainable(modules) == trainable_parameters(configuration, shape=shape, classes=2)
