"""Whole trials of sub-networks: what they report, what they save, and what loads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModel

from api_schemas.peft.counts import trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import store_at
from tests.checkpoints import save_checkpoint
from tests.workers.conftest import counted_shape
from workers.architecture import refitting, sub_network_cache
from workers.architecture.extraction import extracted
from workers.errors import ArtifactError
from workers.model_cache import ModelCache
from workers.peft_methods import attached
from workers.run_trial import Trial, build_modules, run_trial
from workers.saving.artifacts import REFITTED, load_classifier, tensor_bytes
from workers.saving.merged import export_merged

SMALLER = {"keep_layers": 3, "ffn_width": 512}
TEXTS = ["a film full of warmth and wit", "a film without either"]
PLAIN = """
import json, sys
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

merged = sys.argv[1]
tokens = AutoTokenizer.from_pretrained(merged)(sys.argv[2:], padding=True, return_tensors="pt")
model = AutoModel.from_pretrained(merged)
head = load_file(f"{merged}/head.safetensors")
with torch.inference_mode():
    hidden = model(**tokens).last_hidden_state
mask = tokens["attention_mask"].unsqueeze(-1)
pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
print(json.dumps((pooled @ head["weight"].T + head["bias"]).softmax(dim=1).tolist()))
"""


def smaller(base: TrialConfiguration, **changes: Any) -> TrialConfiguration:
    peft = {"active_layers": [False, False, True], "serial_adapter": {"bottleneck_size": 4}}
    return TrialConfiguration.model_validate(
        {**base.model_dump(mode="json"), "architecture": SMALLER, "peft": peft, **changes}
    )


def run(
    configuration: TrialConfiguration, cache: ModelCache, folder: Path
) -> tuple[TrialReport, list[Measurement]]:
    measured: list[Measurement] = []
    trial = Trial(configuration, "study/trial/1", lambda one: bool(measured.append(one)))
    return run_trial(trial, cache=cache, store=store_at(str(folder))), measured


@pytest.fixture(scope="module")
def cache() -> ModelCache:
    return ModelCache(None, device=torch.device("cpu"))


@pytest.fixture
def full(small_trial: TrialConfiguration) -> TrialConfiguration:
    """A sub-network whose weights are trained, all of them."""
    return smaller(small_trial, peft={"method": "full"})


def test_a_sub_network_is_trained_and_reported(
    small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """As any trial: its modules sit in the layers that stay, and the frozen ones below run once."""
    report, measured = run(smaller(small_trial), cache, tmp_path)
    assert report.state is TrialState.SUCCEEDED
    assert len(measured) == 2
    assert report.provenance["starts_at_layer"] == 2
    assert {"score", "latency_ms", "peak_memory_bytes", "training_seconds"} <= report.metrics.keys()


def test_two_sub_networks_do_not_share_what_their_frozen_layers_compute(
    small_trial: TrialConfiguration, tmp_path: Path
) -> None:
    """What the cache kept of one changes no number of another."""
    first = smaller(small_trial, architecture={"keep_layers": 3, "which": "first"})
    last = smaller(small_trial, architecture={"keep_layers": 3, "which": "last"})
    alone = [
        run(one, ModelCache(None, device=torch.device("cpu")), tmp_path)[0].metrics["loss"]
        for one in (first, last)
    ]
    shared = ModelCache(None, device=torch.device("cpu"))
    together = [run(one, shared, tmp_path)[0].metrics["loss"] for one in (first, last)]
    assert together == alone
    assert alone[0] != alone[1]


def test_a_backbone_is_as_it_was_after_a_sub_network_was_trained(
    full: TrialConfiguration, small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """They share weights, and only copies of them are trained."""
    before = {
        name: tensor.clone() for name, tensor in cache.backbone(full.backbone).model.state_dict().items()
    }
    run(full, cache, tmp_path)
    after = cache.backbone(full.backbone).model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_heads_and_widths_by_depth_are_trained_saved_and_loaded(
    small_trial: TrialConfiguration, tmp_path: Path
) -> None:
    """With a teacher, as a study may ask for all at once; the worker counts what the service counts."""
    save_checkpoint("llama", tmp_path / "models" / "mine")
    cache = ModelCache(tmp_path / "models", device=torch.device("cpu"))
    kept = {"keep_layers": 3, "heads": 2, "ffn_width_groups": [24, 8], "units_by": "magnitude"}
    training = {**small_trial.training.model_dump(), "distillation": {"weight": 0.5}}
    configuration = smaller(
        small_trial, backbone="local:mine", architecture=kept, peft={"method": "full"}, training=training
    )
    report, _ = run(configuration, cache, tmp_path)
    assert report.state is TrialState.SUCCEEDED, report.reason
    folder = tmp_path / "study/trial/1"
    classifier = load_classifier(folder, models_dir=tmp_path / "models")
    assert classifier.backbone.sub_network == cache.network(configuration).sub_network
    widths = [
        classifier.backbone.part(layer, "ffn_in").get_parameter("weight").shape[0] for layer in range(3)
    ]
    assert widths == [24, 24, 8]
    shape = counted_shape(cache.backbone("local:mine"))
    counted = trainable_parameters(configuration, shape=shape, classes=2)
    assert report.metrics["trainable_parameters"] == counted
    assert len(classifier.predict(TEXTS)) == 2


def test_fitted_blocks_are_saved_and_loaded(
    small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """An adapter was trained beside them, so it must not meet the backbone's own weights."""
    configuration = smaller(small_trial)
    report, _ = run(configuration, cache, tmp_path)
    folder = tmp_path / "study/trial/1"
    assert (folder / REFITTED).is_file()
    assert REFITTED in {record.name for record in report.artifacts}
    trained, loaded = cache.network(configuration), load_classifier(folder).backbone
    modules = build_modules(configuration, cache)
    of_modules = tensor_bytes([(modules, cache.backbone(configuration.backbone))])
    assert tensor_bytes([(modules, trained)]) - of_modules == 4 * 3 * (512 + 1) * 384
    plain = extracted(cache.backbone(configuration.backbone), load_classifier(folder).saved.sub_network)  # type: ignore[arg-type]
    for name in ("weight", "bias"):
        of_trained, of_loaded, of_plain = (
            network.part(1, "ffn_out").get_parameter(name) for network in (trained, loaded, plain)
        )
        assert torch.equal(of_loaded, of_trained)
        assert not torch.equal(of_loaded, of_plain)


def test_units_by_magnitude_are_cut_as_people_do_it_by_hand(
    small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """Nothing is fitted, so nothing is saved beside what was trained."""
    configuration = smaller(small_trial, architecture={**SMALLER, "units_by": "magnitude"})
    run(configuration, cache, tmp_path)
    assert not (tmp_path / "study/trial/1" / REFITTED).exists()
    assert not cache.network(configuration).refitted


def test_a_backbone_whose_moments_cannot_all_be_kept_is_cut_and_not_fitted(
    small_trial: TrialConfiguration, cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial would read every group of its layers anew."""
    read: list[object] = []
    monkeypatch.setattr(sub_network_cache, "second_moments", lambda *_, **__: read.append(1) or {})
    for width, groups, count in ((480, 2, 2), (448, 3, 0)):
        monkeypatch.setattr(refitting, "MOMENTS_BYTES", 6 // groups * 4 * 1537**2)
        whole = {"keep_layers": 6, "ffn_width": width}
        assert not cache.network(smaller(small_trial, architecture=whole)).refitted
        assert len(read) == count
        read.clear()


def test_a_trial_without_its_fitted_blocks_is_refused(
    small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """With the backbone's own weights it would answer something else."""
    run(smaller(small_trial), cache, tmp_path)
    file = tmp_path / "study/trial/1" / "configuration.json"
    content = json.loads(file.read_text())
    del content["sha256"][REFITTED]
    (file.parent / REFITTED).unlink()
    file.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=f"lists no {REFITTED}"):
        load_classifier(file.parent)


def test_what_can_be_merged_is_timed_merged(
    full: TrialConfiguration, small_trial: TrialConfiguration, cache: ModelCache
) -> None:
    """Low-rank updates cost nothing once they are in the weights; adapters stay new parts."""
    lora = smaller(small_trial, peft={"lora": {"rank": 2, "query": True}})
    merging = {name: build_modules(one, cache).merges for name, one in (("full", full), ("lora", lora))}
    assert merging == {"full": True, "lora": True}
    assert not build_modules(smaller(small_trial), cache).merges


@pytest.mark.parametrize("is_timed_merged", [False, True])
def test_the_whole_network_is_timed_as_its_parts_are(
    small_trial: TrialConfiguration, cache: ModelCache, monkeypatch: pytest.MonkeyPatch, is_timed_merged: bool
) -> None:
    """Where it is compared with them: no module of a method that can be merged is in the way."""
    whole = patch(small_trial, {"peft": {"lora": {"rank": 2, "query": True}}})
    model, hooks = cache.backbone(whole.backbone).model, list[int]()

    def timed(*_: object, **__: object) -> float:
        hooks.append(sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules()))
        return 1.0

    monkeypatch.setattr("workers.run_trial.latency_ms", timed)
    trial = Trial(whole, None, lambda _: False, is_timed_merged)
    run_trial(trial, cache=cache, store=store_at("/nowhere"))
    assert [bool(count) for count in hooks] == [not is_timed_merged]


@pytest.mark.parametrize(
    "peft",
    [
        pytest.param({"method": "full"}, id="full"),
        pytest.param({"lora": {"rank": 2, "query": True}}, id="lora", marks=pytest.mark.nightly),
    ],
)
def test_a_merged_sub_network_is_a_plain_transformer(
    peft: dict[str, Any], small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """A process that knows transformers alone gives the probabilities that `load.py` gives."""
    run(smaller(small_trial, peft=peft), cache, tmp_path)
    folder = tmp_path / "study/trial/1"
    expected = [vars(prediction)["probability"] for prediction in load_classifier(folder).predict(TEXTS)]
    merged = export_merged(folder, tmp_path / "merged")
    printed = subprocess.run(
        [sys.executable, "-c", PLAIN, merged, *TEXTS], check=True, capture_output=True, text=True
    ).stdout
    assert [max(of_row) for of_row in json.loads(printed)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_an_adapter_fits_the_plain_sub_network(
    small_trial: TrialConfiguration, cache: ModelCache, tmp_path: Path
) -> None:
    """Its file names no repository of the hub: on the layers of the whole backbone it would be wrong."""
    run(smaller(small_trial, peft={"lora": {"rank": 2, "query": True}}), cache, tmp_path)
    folder = tmp_path / "study/trial/1"
    classifier = load_classifier(folder)
    plain: Any = classifier.backbone.model
    plain.save_pretrained(tmp_path / "plain")
    ids = torch.tensor([[101, 2023, 3185, 102]])
    with attached(classifier.modules, backbone=classifier.backbone), torch.inference_mode():
        expected = plain(input_ids=ids).last_hidden_state
    loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "plain"), folder).eval()
    with torch.inference_mode():
        torch.testing.assert_close(loaded(input_ids=ids).last_hidden_state, expected)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None
