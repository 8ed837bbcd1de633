"""What an export holds: a merged model on request, a card that says where its numbers come from."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file

from api_schemas.architecture import Architecture
from api_schemas.tasks import Folds
from api_schemas.trial_configuration import Peft, TrialConfiguration
from api_schemas.trials import ArtifactRecord
from paretune import load_classifier
from paretune.export import (
    CannotBeMerged,
    FolderNotEmpty,
    NothingToExport,
    check_new,
    export_trial,
    merge_exported,
    model_card,
    onnx_of_merged,
    remove_of_another_trial,
)
from service.artifacts.artifact_store import store_at
from service.catalogue.backbones.packaged import packaged_directory
from service.errors import UnknownBackbone
from tests.paretune.trials import seed, study, trial
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules
from workers.saving.artifacts import save_trial
from workers.saving.predictions import AnswerForm


def exported(
    peft: dict[str, object], folder: Path, *, name: str = "all-MiniLM-L6-v2", models_dir: Path | None = None
) -> Path:
    configuration = TrialConfiguration.model_validate(
        {"backbone": name, "task": {"name": "rotten-tomatoes"}, "peft": peft}
    )
    backbone = ModelCache(models_dir, device=torch.device("cpu")).backbone(configuration.backbone)
    modules = TrialModules(Peft.model_validate(peft), backbone=backbone, classes=2, seed=0)
    save_trial(
        modules, configuration, backbone=backbone, answers=AnswerForm(labels=("no", "yes")),
        store=store_at(str(folder.parent)), path=folder.name,
    )  # fmt: skip
    return folder


def test_what_cannot_be_merged_is_an_error_of_the_command(tmp_path: Path) -> None:
    """The command prints the sentence and no traceback."""
    with pytest.raises(CannotBeMerged, match="be merged"):
        merge_exported(exported({"serial_adapter": {"bottleneck_size": 4}}, tmp_path / "trial"))


def test_a_merged_trial_lies_in_the_exported_folder(tmp_path: Path) -> None:
    """Weights, tokenizer, head and labels, beside the adapter."""
    merged = merge_exported(exported({"method": "ia3"}, tmp_path / "trial"))
    assert merged == tmp_path / "trial" / "merged"
    assert load_file(merged / "head.safetensors")["weight"].shape == (2, 384)
    assert {"config.json", "model.safetensors", "tokenizer.json", "answers.json"} <= {
        file.name for file in merged.iterdir()
    }


def test_a_graph_that_cannot_be_written_is_an_error_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the extra that is missing."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(CannotBeMerged, match=r"paretune\[onnx\]"):
        onnx_of_merged(tmp_path)


def test_a_trial_on_a_local_backbone_is_loaded_from_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As merging does; without the variable, the error names it and no server."""
    models_dir = tmp_path / "models"
    models_dir.mkdir()
    (models_dir / "mine").symlink_to(packaged_directory("all-MiniLM-L6-v2"))
    folder = exported({"method": "ia3"}, tmp_path / "trial", name="local:mine", models_dir=models_dir)
    monkeypatch.delenv("PARETUNE_MODELS_DIR", raising=False)
    with pytest.raises(UnknownBackbone, match="set PARETUNE_MODELS_DIR to the one that holds 'mine'"):
        load_classifier(folder)
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(models_dir))
    assert len(load_classifier(folder).predict(["a film full of wit"])) == 1


def test_a_picture_of_what_was_kept_stands_on_the_card(tmp_path: Path) -> None:
    """With the layers that the saved trial names."""
    saved_as = ArtifactRecord(name="configuration.json", path="p", sha256="0" * 64, size_bytes=1)
    base = trial(1, score=0.7, parameters=200)
    assert base.configuration is not None
    kept = base.configuration.model_copy(update={"architecture": Architecture(keep_layers=1)})
    smaller = base.model_copy(update={"configuration": kept, "artifacts": (saved_as,)})
    saved = {"format_version": 3, "sub_network": {"layers": [1], "ffn_units": [None]}, "configuration": {}}
    client = Mock()
    client.download_artifact.side_effect = lambda *_, to: to.write_text(json.dumps(saved))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("paretune.export.adapter_usage", lambda _: "")
        export_trial(client, study(), smaller, folder=tmp_path)
    assert "![keeps the 1 most important of 2 layers](kept.svg)" in (tmp_path / "README.md").read_text()
    picture = (tmp_path / "kept.svg").read_text()
    assert picture.count('class="dropped"') == 2
    assert picture.index('class="kept"') < picture.index('class="dropped"')


def test_an_export_over_another_leaves_nothing_of_it(tmp_path: Path) -> None:
    """A merge would take the adapter of the other trial for this one's; files of one's own stay."""
    for name in ("adapter_config.json", "adapter_model.safetensors", "weights.safetensors", "notes.md"):
        (tmp_path / name).write_text("old")
    remove_of_another_trial(tmp_path, keep={"weights.safetensors", "configuration.json"})
    assert {file.name for file in tmp_path.iterdir()} == {"weights.safetensors", "notes.md"}


def test_a_single_run_is_called_one() -> None:
    """No spread is known, and none is shown."""
    card = model_card(study(), trial(1, score=0.75, parameters=200))
    assert "One training run (seed 0)." in card
    assert "| validation | score | 0.75 |" in card


def test_means_name_their_seeds_and_whose_weights_these_are() -> None:
    """The weights are those of the first seed, the numbers are not."""
    twice = trial(
        1,
        score=0.75,
        parameters=200,
        metric_standard_errors={"score": 0.01},
        replicates=[seed(0, score=0.76), seed(1, score=0.74)],
    )
    card = model_card(study(), twice)
    assert "Means of 2 training runs (seeds 0, 1)" in card
    assert "The weights here are those of seed 0." in card
    assert "| validation | score | 0.75 ± 0.01 |" in card


def test_the_card_tells_of_folds() -> None:
    """The weights were trained on most of the rows, and not on those that their seed validates on."""
    one = trial(1, score=0.75, parameters=200)
    assert "folds" not in model_card(study(), one)
    assert one.configuration is not None
    task = one.configuration.task.model_copy(update={"resampling": Folds(folds=4)})
    dealt = one.configuration.model_copy(update={"task": task})
    card = model_card(study(), one.model_copy(update={"configuration": dealt}))
    assert "Each seed validates on one of 4 folds" in card


def test_a_custom_trial_has_nothing_to_export() -> None:
    """What it made is where it ran."""
    with pytest.raises(NothingToExport, match="machine of yours"):
        model_card(study(), trial(1, score=0.75, parameters=200, configuration=None))


def test_a_checkpoint_is_called_one() -> None:
    """Its card says how far it came and claims no score."""
    record = {"name": "weights", "path": "w", "sha256": "0" * 64, "size_bytes": 1}
    checkpoint = {**record, "kind": "checkpoint", "attempt": 2, "step": 12}
    ended = {"state": "CANCELLED", "metrics": {}, "test_metrics": {}}
    cancelled = trial(1, score=0, parameters=0, **ended, artifacts=[checkpoint])
    card = model_card(study(), cancelled)
    assert "a checkpoint of step 12; the trial was cancelled and never evaluated" in card
    assert "| validation |" not in card
    assert "trained parameters" not in card


def test_nothing_that_lies_there_is_written_over_unless_it_is_said(tmp_path: Path) -> None:
    """A new or empty folder is taken, another one only by force, a file never."""
    check_new(tmp_path / "new", force=False)
    check_new(tmp_path, force=False)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FolderNotEmpty, match="--force"):
        check_new(tmp_path, force=False)
    check_new(tmp_path, force=True)
    with pytest.raises(FolderNotEmpty, match="is a file"):
        check_new(tmp_path / "mine", force=True)
