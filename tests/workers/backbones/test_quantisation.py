"""A quantised backbone is smaller, nearly the same, and carries every module of ours."""

from importlib import machinery, util
from pathlib import Path

import pytest
import torch

from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import Quantisation, TrialConfiguration, patch
from api_schemas.trials import TrialState
from service.artifacts.artifact_store import store_at
from workers.backbones.loading import load_backbone
from workers.backbones.quantisation import quantised
from workers.data.task_data import Batch
from workers.errors import UnsupportedBackbone
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached, logits
from workers.run_trial import Trial, run_trial
from workers.saving.artifacts import load_classifier

CPU = torch.device("cpu")
MINILM = "all-MiniLM-L6-v2"
IDS = torch.tensor([[101, 2307, 3185, 102], [101, 2919, 102, 0]])
BATCH = Batch(ids=IDS, mask=(IDS != 0).long(), labels=torch.tensor([1, 0]))
EVERY_MODULE = {
    "serial_adapter": {"bottleneck_size": 4},
    "parallel_adapter": {"bottleneck_size": 4},
    "prefix_tuning": {"length": 2},
    "lora": {"rank": 2},
    "scale_shift": {"on": True},
}
pytestmark = [
    pytest.mark.skipif(
        util.find_spec("bitsandbytes") is None, reason="bitsandbytes has no build for this system"
    ),
    pytest.mark.filterwarnings("ignore:MatMul8bitLt"),
]


def test_without_the_library_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cure is one line to copy."""
    found: machinery.ModuleSpec | None = None
    monkeypatch.setattr("workers.backbones.quantisation.find_spec", lambda _: found)
    with pytest.raises(UnsupportedBackbone, match="pip install bitsandbytes"):
        quantised(Quantisation.FOUR_BIT, device=CPU)


@pytest.mark.slow
@pytest.mark.parametrize("quantisation", list(Quantisation))
def test_a_quantised_backbone_is_smaller_and_carries_our_modules(quantisation: Quantisation) -> None:
    """Pooled outputs are near those of the whole weights, and gradients reach every trained tensor."""
    whole = load_backbone(MINILM, models_dir=None, device=CPU)
    small = load_backbone(MINILM, models_dir=None, device=CPU, quantisation=quantisation)
    assert small.model.get_memory_footprint() < 0.75 * whole.model.get_memory_footprint()  # type: ignore[operator]
    assert small.shape == whole.shape
    peft = Peft.model_validate(EVERY_MODULE)
    modules = TrialModules(peft, backbone=small, classes=2, seed=0)
    with attached(modules, backbone=small):
        found = logits(modules, BATCH, backbone=small)
        found.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in modules.parameters())
    same = TrialModules(peft, backbone=whole, classes=2, seed=0)
    with attached(same, backbone=whole), torch.no_grad():
        expected = logits(same, BATCH, backbone=whole)
    assert (found - expected).abs().max() < 0.1


@pytest.mark.slow
def test_four_bits_are_trained_on_after_they_were_only_looked_at() -> None:
    """On a CPU that multiplies bfloat16 the library would lay them out for a kernel without gradients."""
    small = load_backbone(MINILM, models_dir=None, device=CPU, quantisation=Quantisation.FOUR_BIT)
    for module in small.model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = True
    modules = TrialModules(Peft.model_validate(EVERY_MODULE), backbone=small, classes=2, seed=0)
    with attached(modules, backbone=small):
        with torch.no_grad():
            looked_at = logits(modules, BATCH, backbone=small)
        trained = logits(modules, BATCH, backbone=small)
        trained.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(looked_at, trained, atol=1e-5)
    assert all(parameter.grad is not None for parameter in modules.parameters())


@pytest.mark.slow
def test_a_trial_on_four_bits_is_trained_saved_and_loaded(
    small_trial: TrialConfiguration, tmp_path: Path
) -> None:
    """From configuration to predictions, with the quantisation in its record."""
    configuration = patch(small_trial, {"quantisation": "4bit"})
    report = run_trial(
        Trial(configuration, "trial", lambda _: False),
        cache=ModelCache(None, device=CPU),
        store=store_at(str(tmp_path)),
    )
    assert report.state is TrialState.SUCCEEDED, report.reason
    classifier = load_classifier(tmp_path / "trial")
    assert classifier.saved.configuration.quantisation is Quantisation.FOUR_BIT
    assert len(classifier.predict(["a fine film", "a bad one"])) == 2
