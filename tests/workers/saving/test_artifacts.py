"""What is saved can be loaded, and what is damaged cannot pass for it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialState
from service.artifacts.artifact_store import store_at
from service.catalogue.tasks.rows import Row
from tests.workers.conftest import CPU
from workers.data.task_data import pad, tokenise
from workers.errors import ArtifactError
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached, logits
from workers.run_trial import Trial, run_trial
from workers.saving.artifacts import load_classifier, save_trial
from workers.saving.predictions import AnswerForm

TEXTS = ["a film full of warmth and wit", "dull", "neither here nor there"]


@pytest.fixture
def saved(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> tuple[Path, TrialModules]:
    backbone = model_cache.backbone(small_trial.backbone)
    modules = TrialModules(small_trial.peft, backbone=backbone, classes=2, seed=3)
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter.add_(0.05)
    records = save_trial(
        modules,
        small_trial,
        backbone=backbone,
        answers=AnswerForm(labels=("no", "yes")),
        store=store_at(str(artifacts_dir)),
        path="s/t/1",
    )
    assert [record.name for record in records] == ["weights.safetensors", "configuration.json"]
    return artifacts_dir / "s" / "t" / "1", modules


@pytest.mark.parametrize("name", ["weights.safetensors", "configuration.json"])
def test_a_missing_file_is_named(saved: tuple[Path, TrialModules], name: str) -> None:
    """Half a trial does not load."""
    (saved[0] / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_classifier(saved[0])


def test_a_flipped_bit_is_found(saved: tuple[Path, TrialModules]) -> None:
    """The hash is checked before a weight is read."""
    file = saved[0] / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged"):
        load_classifier(saved[0])


def test_weights_of_another_configuration_do_not_load(saved: tuple[Path, TrialModules]) -> None:
    """Even with a matching hash, names and shapes must fit."""
    import hashlib

    file, configuration = saved[0] / "weights.safetensors", saved[0] / "configuration.json"
    save_file({"head.weight": torch.zeros(2, 3)}, file)
    content = json.loads(configuration.read_text())
    content["sha256"]["weights.safetensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
    configuration.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="does not fit"):
        load_classifier(saved[0])


def test_a_loaded_classifier_predicts_what_the_trained_one_did(
    saved: tuple[Path, TrialModules], model_cache: ModelCache
) -> None:
    """Same labels and probabilities, in the order of the texts."""
    folder, modules = saved
    backbone = model_cache.backbone("all-MiniLM-L6-v2")
    split = tokenise([Row(text, 0) for text in TEXTS], backbone.tokenizer, max_length=16)
    batch = pad(split, [0, 1, 2], pad_id=0, device=backbone.device)
    with attached(modules, backbone=backbone), torch.inference_mode():
        expected = logits(modules, batch, backbone=backbone).softmax(dim=1).max(dim=1)
    found = load_classifier(folder).predict(TEXTS)
    assert [prediction.label for prediction in found] == [("no", "yes")[n] for n in expected.indices.tolist()]
    assert [prediction.probability for prediction in found] == pytest.approx(
        expected.values.tolist(), abs=1e-5
    )


@pytest.mark.slow
def test_what_was_trained_in_bfloat16_predicts_the_same_in_single_precision(
    small_trial: TrialConfiguration, artifacts_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine that loads an adapter need not be like the one that trained it."""
    store = store_at(str(artifacts_dir))
    with monkeypatch.context() as patched:
        patched.setattr("workers.backbones.loading.frozen_dtype", lambda _: torch.bfloat16)
        parts = ModelCache(None, device=CPU)
        report = run_trial(Trial(small_trial, "t", lambda _: False), cache=parts, store=store)
        assert report.state is TrialState.SUCCEEDED, report.reason
        found = load_classifier(artifacts_dir / "t").predict(TEXTS)
    expected = load_classifier(artifacts_dir / "t").predict(TEXTS)
    assert [one.label for one in found] == [one.label for one in expected]
    # bfloat16 keeps 8 bits of a number.
    assert [one.probability for one in found] == pytest.approx(
        [one.probability for one in expected], abs=0.02
    )


def test_a_loaded_classifier_answers_whatever_it_is_asked(saved: tuple[Path, TrialModules]) -> None:
    """Nothing, an empty text, and texts of a hundred thousand characters."""
    classifier = load_classifier(saved[0])
    assert classifier.predict([]) == []
    assert len(classifier.predict(["", "x" * 100_000, "long " * 20_000])) == 3


def test_saving_again_replaces_the_whole(
    saved: tuple[Path, TrialModules], small_trial: TrialConfiguration, model_cache: ModelCache
) -> None:
    """A repeated attempt leaves one complete folder and nothing unfinished."""
    folder, modules = saved
    save_trial(
        modules,
        small_trial,
        backbone=model_cache.backbone(small_trial.backbone),
        answers=AnswerForm(labels=("no", "yes")),
        store=store_at(str(folder.parents[2])),
        path="s/t/1",
    )
    assert [entry.name for entry in folder.parent.iterdir()] == ["1"]
    load_classifier(folder)
