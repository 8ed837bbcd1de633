"""Saved trials load with `PeftModel.from_pretrained` in a fresh process and give the same hidden states."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertConfig, BertModel

from api_schemas.peft.registry import PeftMethod
from api_schemas.trial_configuration import Peft, TrialConfiguration
from service.artifacts.artifact_store import store_at
from service.catalogue.backbones import by_name
from tests.checkpoints import save_tokenizer
from tests.workers.conftest import CPU, SMALL
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch
from workers.errors import ArtifactError
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached, logits
from workers.saving.artifacts import load_classifier, save_trial
from workers.saving.merged import export_merged
from workers.saving.predictions import AnswerForm

IDS = torch.tensor([[2, 3, 4, 5], [2, 6, 5, 0]])
MASK = (IDS != 0).long()
BATCH = Batch(ids=IDS, mask=MASK, labels=torch.tensor([0, 1]))
SETTINGS = {"rank": 4, "block_size": 32, "frequencies": 50, "virtual_tokens": 3, "key": True, "ffn_out": True}
LAYERS = [False, True, False, False, False, True]
OWN_LORA = {"lora": {"rank": 4, "alpha": 6.0, "attention_output": True}, "active_layers": LAYERS}
RANKS = [{"query": 2, "ffn_in": 3} if on else {} for on in LAYERS]
OWN_LORA_BY_LAYER = {"lora": {"alpha": 6.0, "by_layer": RANKS}, "active_layers": LAYERS}
SCALE_SHIFT = {"scale_shift": {"on": True}, "active_layers": LAYERS}
# Saved in our format alone.
UNIONS: dict[str, dict[str, object]] = {
    "scale_shift": SCALE_SHIFT,
    "scale_shift_on_lora": {**SCALE_SHIFT, **OWN_LORA_BY_LAYER},
    "compacter": {"compacter": {"bottleneck_size": 8}, "active_layers": LAYERS},
    "bitfit": {"method": "bitfit", "active_layers": LAYERS},
    "head_only": {"method": "head_only", "active_layers": LAYERS},
}
# What peft has no format for.
OURS = (PeftMethod.MODULES, PeftMethod.HEAD_ONLY, PeftMethod.BITFIT, PeftMethod.FULL)
PEFTS = {
    **{
        method.value: {"method": method, "active_layers": LAYERS, "library": SETTINGS}
        for method in PeftMethod
        if method not in OURS
    },
    "own_lora": OWN_LORA,
    "own_lora_by_layer": OWN_LORA_BY_LAYER,
}
LOAD = """
import sys
from pathlib import Path
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModel

source, target = sys.argv[1:]
ids = torch.tensor([[2, 3, 4, 5], [2, 6, 5, 0]])
found = {}
for folder in sorted(Path(target).iterdir()):
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(source, dtype=torch.float32), folder).eval()
    with torch.inference_mode():
        hidden = model(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    found[folder.name] = hidden[:, -4:].clone()
save_file(found, Path(target).parent / "found.safetensors")
"""


TINY = BertConfig(
    vocab_size=50, hidden_size=64, num_hidden_layers=6, num_attention_heads=4, intermediate_size=128
)  # fmt: skip


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of as many layers as MiniLM: what is saved and loaded is small."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    BertModel(TINY).save_pretrained(folder / "tiny")
    save_tokenizer(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def model_cache(models_dir: Path) -> ModelCache:
    return ModelCache(models_dir, device=CPU)


@pytest.fixture(params=["local:tiny", pytest.param("all-MiniLM-L6-v2", marks=pytest.mark.nightly)])
def small_trial(request: pytest.FixtureRequest) -> TrialConfiguration:
    return TrialConfiguration.model_validate({**SMALL, "backbone": request.param})


def trained(peft: dict[str, object], backbone: Backbone) -> TrialModules:
    """Modules as training would leave them: every tensor a little away from its start."""
    modules = TrialModules(Peft.model_validate(peft), backbone=backbone, classes=2, seed=5)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return modules


def saved(
    peft: dict[str, object], folder: Path, *, cache: ModelCache, base: TrialConfiguration
) -> TrialModules:
    backbone = cache.backbone(base.backbone)
    modules = trained(peft, backbone)
    training = base.training.model_copy(update={"seed": 5})
    save_trial(
        modules,
        base.model_copy(update={"peft": modules.peft, "training": training}),
        backbone=backbone,
        answers=AnswerForm(labels=("no", "yes")),
        store=store_at(str(folder.parent)),
        path=folder.name,
    )
    return modules


def hidden_states(modules: TrialModules, backbone: Backbone) -> Tensor:
    with attached(modules, backbone=backbone), torch.inference_mode():
        found: Tensor = backbone.model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return found.float()


@pytest.mark.slow
def test_peft_loads_every_method_with_the_same_hidden_states(
    model_cache: ModelCache, models_dir: Path, small_trial: TrialConfiguration, tmp_path: Path
) -> None:
    """A fresh process, no code of ours: hidden states agree to float32 rounding."""
    backbone = model_cache.backbone(small_trial.backbone)
    expected = {
        name: hidden_states(
            saved(peft, tmp_path / "all" / name, cache=model_cache, base=small_trial), backbone
        )
        for name, peft in PEFTS.items()
    }
    source = by_name.backbone_directory(small_trial.backbone, models_dir=models_dir)
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    subprocess.run(
        [sys.executable, str(script), str(source), str(tmp_path / "all")],
        check=True, capture_output=True, cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    found = load_file(tmp_path / "found.safetensors")
    assert found.keys() == PEFTS.keys()
    bare = hidden_states(TrialModules(Peft(), backbone=backbone, classes=2, seed=0), backbone)
    for name, hidden in expected.items():
        assert (hidden - bare)[MASK.bool()].abs().max() > 1e-4, name
        assert torch.allclose(found[name][MASK.bool()], hidden[MASK.bool()], atol=2e-5), name


@pytest.mark.parametrize("name", [*PEFTS, *UNIONS])
def test_a_saved_trial_loads_and_scores_the_same(
    model_cache: ModelCache, models_dir: Path, small_trial: TrialConfiguration, tmp_path: Path, name: str
) -> None:
    """Our own format, for every method: the loaded classifier gives bit-equal logits."""
    peft = {**PEFTS, **UNIONS}[name]
    modules = saved(peft, tmp_path / "trial", cache=model_cache, base=small_trial)
    loaded = load_classifier(tmp_path / "trial", models_dir=models_dir)
    backbone = model_cache.backbone(small_trial.backbone)
    with attached(modules, backbone=backbone), torch.inference_mode():
        expected = logits(modules, BATCH, backbone=backbone)
    with attached(loaded.modules, backbone=loaded.backbone), torch.inference_mode():
        assert torch.equal(logits(loaded.modules, BATCH, backbone=loaded.backbone), expected)


MERGEABLE = [name for name in (*PEFTS, *UNIONS) if name not in {"prompt_tuning", "p_tuning", "compacter"}]


@pytest.mark.parametrize("name", MERGEABLE)
def test_a_merged_trial_is_a_plain_transformer(
    model_cache: ModelCache, models_dir: Path, small_trial: TrialConfiguration, tmp_path: Path, name: str
) -> None:
    """Without peft and without us, the merged weights give the trial's scores."""
    from transformers import AutoModel

    peft = {**PEFTS, **UNIONS}[name]
    modules = saved(peft, tmp_path / "trial", cache=model_cache, base=small_trial)
    merged = export_merged(tmp_path / "trial", tmp_path / "merged", models_dir=models_dir)
    model = AutoModel.from_pretrained(merged).eval()
    head = load_file(merged / "head.safetensors")
    with torch.inference_mode():
        hidden = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
        mask = MASK.unsqueeze(-1)
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        scores = pooled @ head["weight"].T + head["bias"]
    backbone = model_cache.backbone(small_trial.backbone)
    with attached(modules, backbone=backbone), torch.inference_mode():
        assert torch.allclose(scores, logits(modules, BATCH, backbone=backbone), atol=1e-4)
    answers = AnswerForm.model_validate_json((merged / "answers.json").read_text())
    assert answers.labels == ("no", "yes")


@pytest.mark.parametrize(
    "peft",
    [
        PEFTS["prompt_tuning"],
        {"serial_adapter": {"bottleneck_size": 4}},
        {"prefix_tuning": {"length": 2}, **OWN_LORA},
        UNIONS["compacter"],
    ],
)
def test_what_is_no_change_of_weights_is_not_merged(
    model_cache: ModelCache, models_dir: Path, small_trial: TrialConfiguration, tmp_path: Path,
    peft: dict[str, object],
) -> None:  # fmt: skip
    """The reason says so, and nothing is written."""
    saved(peft, tmp_path / "trial", cache=model_cache, base=small_trial)
    with pytest.raises(ArtifactError, match="be merged"):
        export_merged(tmp_path / "trial", tmp_path / "merged", models_dir=models_dir)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    "peft", [{"serial_adapter": {"bottleneck_size": 4}, **OWN_LORA}, {"method": "bitfit"}]
)
def test_what_peft_has_no_format_for_is_saved_in_ours_alone(
    model_cache: ModelCache, small_trial: TrialConfiguration, tmp_path: Path, peft: dict[str, object]
) -> None:
    """A union with LoRA in it would be another network without the rest."""
    saved(peft, tmp_path / "trial", cache=model_cache, base=small_trial)
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == [
        "configuration.json", "weights.safetensors",
    ]  # fmt: skip
