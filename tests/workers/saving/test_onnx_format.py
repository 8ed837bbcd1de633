"""ONNX Runtime gives what torch gives, for batches of any size."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from tests.workers.conftest import tiny
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import SubNetwork
from workers.backbones.activation_cache import pool
from workers.errors import ArtifactError
from workers.saving.merged import HEAD
from workers.saving.onnx_format import INPUTS, export_onnx

UNITS = tuple(range(0, 32, 2))


@pytest.mark.parametrize(
    "kind",
    [
        "bert",
        *(
            pytest.param(kind, marks=pytest.mark.nightly)
            for kind in ("mpnet", "distilbert", "llama", "qwen3")
        ),
    ],
)
def test_a_sub_network_answers_alike_in_onnx_runtime(kind: str, tmp_path: Path) -> None:
    """Padded rows, other sizes than those traced, one row alone."""
    network = extracted(tiny(kind), SubNetwork(layers=(0, 2), ffn_units=(UNITS, UNITS)))
    model = network.model.float()
    model.save_pretrained(tmp_path)  # type: ignore[operator]  # transformers ships no types
    head = {"weight": torch.randn(3, 16), "bias": torch.randn(3)}
    save_file(head, tmp_path / HEAD)
    session = onnxruntime.InferenceSession(export_onnx(tmp_path), providers=["CPUExecutionProvider"])
    for rows, tokens in ((3, 11), (1, 5)):
        ids = torch.randint(2, 50, (rows, tokens))
        mask = (torch.arange(tokens) < torch.tensor([[tokens - row] for row in range(rows)])).long()
        with torch.inference_mode():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            expected = pool(hidden, mask) @ head["weight"].T + head["bias"]
        [found] = session.run(None, dict(zip(INPUTS, (ids.numpy(), mask.numpy()), strict=True)))
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_without_its_packages_the_refusal_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are an extra: only those need them who deploy with ONNX Runtime."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ArtifactError, match=r"paretune\[onnx\]"):
        export_onnx(tmp_path)
