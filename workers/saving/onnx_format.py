"""A merged transformer with its head as one ONNX graph: token ids and mask in, the head's outputs out.

Reads what `workers.saving.merged` wrote, so any sub-network that merges can be written so.
"""

import logging
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig

from workers.backbones.activation_cache import pool
from workers.backbones.loading import model_class
from workers.errors import ArtifactError
from workers.saving.grouped_format import is_grouped, load_grouped
from workers.saving.merged import HEAD

ONNX_FILE = "model.onnx"
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"
EXAMPLE = (2, 8)
"""Rows and tokens of the batch that is traced; a size of 1 would be taken for a constant."""

# It warns of every library of operators that is not installed, and none of them is used.
logging.getLogger("torch.onnx").setLevel(logging.ERROR)


class _WithHead(nn.Module):
    """The transformer, the mean over real tokens, the linear head."""

    def __init__(self, model: nn.Module, head: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = model
        self.weight = nn.Parameter(head["weight"], requires_grad=False)
        self.bias = nn.Parameter(head["bias"], requires_grad=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Float[Tensor, "n c"]:
        """Return the head's outputs for padded token ids."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        return nn.functional.linear(pool(output.last_hidden_state, attention_mask), self.weight, self.bias)


def with_head(merged: Path, *, attention: str | None = None) -> nn.Module:
    """Return a merged transformer with its head in float32: from token ids and mask to the head's outputs."""
    return _WithHead(_transformer(merged, attention), load_file(merged / HEAD)).eval()


def _transformer(merged: Path, attention: str | None) -> nn.Module:
    if is_grouped(merged):
        return load_grouped(merged, attention=attention)
    family = AutoConfig.from_pretrained(merged, trust_remote_code=False).model_type
    how = {} if attention is None else {"attn_implementation": attention}
    loaded: nn.Module = model_class(family).from_pretrained(merged, dtype=torch.float32, **how)
    return loaded


def export_onnx(merged: Path) -> Path:
    """Write `model.onnx` beside a merged transformer, and return its path.

    Its inputs are `input_ids` and `attention_mask`, of any number of rows and tokens, its output `logits`,
    of shape (rows, outputs) in float32; `answers.json` says what they mean.

    Raises:
        ArtifactError: If the packages of the extra `onnx` are not installed, or the network cannot be
            written as a graph.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ArtifactError(
            "ONNX is written with packages that are not installed: pip install 'paretune[onnx]'."
        ) from error
    network = with_head(merged, attention="eager")
    example = torch.ones(EXAMPLE, dtype=torch.long)
    sizes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: what it warns of is what a test compares
        torch.onnx.export(
            network,
            (example, example.clone()),
            merged / ONNX_FILE,
            input_names=INPUTS,
            output_names=(OUTPUT,),
            dynamic_shapes=dict.fromkeys(INPUTS, sizes),
            external_data=False,
            verbose=False,
        )
    return merged / ONNX_FILE
