"""A network of several widths is written and loaded exactly, and whatever else lies there is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from paretune import load_network
from tests.workers.conftest import tiny, unchanged
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import SubNetwork
from workers.errors import ArtifactError
from workers.saving.grouped_format import NETWORK, TENSORS, is_grouped, write_grouped

IDS = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 1]])
UNITS = tuple(range(0, 32, 2))
KEPT = SubNetwork(layers=(0, 2), ffn_units=(None, UNITS))
HEADS = KEPT.model_copy(update={"heads": ((0, 2), (1, 3))})


def hidden(model: Any) -> Tensor:
    with torch.inference_mode():
        states: Tensor = model(input_ids=IDS).last_hidden_state
    return states


def written(folder: Path, kind: str = "bert", kept: SubNetwork = KEPT) -> Tensor:
    """Write a network, and return what it computed before."""
    model = extracted(tiny(kind), kept).model.float()
    before = hidden(model)
    write_grouped(model, folder, sub_network=kept)
    return before


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("bert", KEPT),
        ("llama", HEADS),
        ("t5", KEPT.model_copy(update={"layers": (0, 1)})),
        *(pytest.param(kind, KEPT, marks=pytest.mark.nightly) for kind in ("gpt2", "mpnet", "distilbert")),
    ],
)
def test_what_is_loaded_computes_what_was_written(kind: str, kept: SubNetwork, tmp_path: Path) -> None:
    """To the last bit, and in a folder that plain transformers refuse."""
    before = written(tmp_path, kind, kept)
    assert is_grouped(tmp_path)
    assert torch.equal(hidden(load_network(tmp_path)), before)
    with pytest.raises((OSError, ValueError)):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "another"}, "paretune-widths-by-layer"),
        ({"version": 2}, "another version of Paretune"),
        ({"code": "import os"}, "Extra inputs are not permitted"),
        ({"ffn_widths": [32]}, "its 2 layers need a width each"),
        ({"ffn_widths": [32, 64]}, "of at most 32"),
        ({"ffn_widths": [32, 8]}, "size mismatch"),
        ({"transformers": {"model_type": "a_family_of_my_own"}}, "none of bert"),
        ({"transformers": {"model_type": "bert", "auto_map": {}}}, "never run"),
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """The reason says what is wrong with it, and no code that comes with files is run."""
    written(tmp_path)
    content = json.loads((tmp_path / NETWORK).read_text())
    (tmp_path / NETWORK).write_text(json.dumps({**content, **changes}))
    with pytest.raises(ArtifactError, match=reason):
        load_network(tmp_path)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    """As an error of the exported folder, whatever the library raises."""
    with pytest.raises(ArtifactError, match=NETWORK):
        load_network(tmp_path)
    written(tmp_path)
    (tmp_path / TENSORS).write_bytes(b"no tensors")
    with pytest.raises(ArtifactError, match="does not hold the network"):
        load_network(tmp_path)


def test_the_writer_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    """A shared backbone is never changed by an export of a part of it."""
    with unchanged("bert") as bert:
        write_grouped(extracted(bert, KEPT).model, tmp_path, sub_network=KEPT)
