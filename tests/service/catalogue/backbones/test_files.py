"""What the headers of a backbone's files tell is said at the door, without loading a weight."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from service.catalogue.backbones import by_name
from service.errors import DamagedBackbone, UnknownBackbone
from tests.checkpoints import save_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_checkpoint("bert", tmp_path / "mine")


def refused(folder: Path, complaint: str) -> None:
    with pytest.raises(DamagedBackbone, match=complaint):
        by_name.backbone_shape("local:mine", models_dir=folder.parent)
    with pytest.raises(DamagedBackbone, match=complaint):
        by_name.backbone_directory("local:mine", models_dir=folder.parent)


@pytest.mark.parametrize("kept", [0, 5, 30, -1])
def test_weights_that_were_cut_short_are_refused(folder: Path, kept: int) -> None:
    """In the length of the header, in the header, and in the tensors."""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    refused(folder, r"model.safetensors of 'local:mine' (is damaged|cannot be read).*Get it again")


@pytest.mark.parametrize("content", [b"\xff" * 64, b"\x02" + bytes(7) + b"[]", b"\x02" + bytes(7) + b"{}!"])
def test_weights_that_are_something_else_are_refused(folder: Path, content: bytes) -> None:
    """A header of an absurd length, of another kind, and with too much behind it."""
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, "model.safetensors of 'local:mine'")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_pickled_weights_are_never_loaded(folder: Path, name: str) -> None:
    """Such a file runs code when it is read; the sentence says what to do."""
    (folder / "model.safetensors").rename(folder / name)
    refused(folder, rf"as pickle only \({name}\).*Save the model as safetensors")


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    """The file that is looked for is named."""
    (folder / "model.safetensors").unlink()
    refused(folder, "has no model.safetensors")


def test_shards_that_the_index_names_must_be_there_and_whole(folder: Path) -> None:
    """Each of them is checked."""
    names = load_file(folder / "model.safetensors").keys()
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = folder / "model.safetensors.index.json"
    listed = {**dict.fromkeys(names, "model-1.safetensors"), "b": "model-2.safetensors"}
    index.write_text(json.dumps({"weight_map": listed}))
    refused(folder, "lacks model-2.safetensors, which its index names")
    save_file({"b": np.zeros(2)}, folder / "model-2.safetensors")
    assert by_name.backbone_shape("local:mine", models_dir=folder.parent).layers == 3
    index.write_text("{}")
    refused(folder, "index.json of 'local:mine' is damaged")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 3}'])
def test_a_damaged_tokenizer_is_refused(folder: Path, content: str) -> None:
    """One that is no JSON object with a model."""
    (folder / "tokenizer.json").write_text(content)
    refused(folder, "tokenizer.json of 'local:mine' is damaged")


def test_a_missing_tokenizer_is_refused(folder: Path) -> None:
    """The message says where it belongs."""
    (folder / "tokenizer.json").unlink()
    refused(folder, "has no tokenizer. Save it beside the model")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        "[" * 100_000,
        "\udcff",
        '{"model_type": "bert", "hidden_size": 1' + 5000 * "0" + "}",
    ],
)
def test_a_damaged_configuration_is_refused(folder: Path, content: str) -> None:
    """No content of config.json is worse than a refusal."""
    (folder / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(
        UnknownBackbone, match=r"config.json of 'local:mine' (is damaged|gives no transformer shape)"
    ):
        by_name.backbone_shape("local:mine", models_dir=folder.parent)
