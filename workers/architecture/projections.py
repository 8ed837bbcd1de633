"""Some rows or columns of a projection in place of all. Knows no network, and not what they stand for."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


def is_part(numbers: Sequence[int], *, of: int) -> bool:
    """Return whether numbers are some of those below `of`, in ascending order."""
    return bool(numbers) and list(numbers) == sorted(set(numbers)) and numbers[0] >= 0 and numbers[-1] < of


def unit_rows(projection: nn.Module, *, reads: bool) -> Tensor:
    """Return a view of the weight of a projection with a row for each unit that it reads, or puts out."""
    weight = projection.get_parameter("weight")
    return weight.T if reads is not isinstance(projection, Conv1D) else weight


def keep_parts(projection: nn.Module, parts: Sequence[int], *, reads: bool) -> None:
    """Keep some of the numbers that a projection reads, or of those that it puts out."""
    numbers = torch.tensor(parts)
    rows = unit_rows(projection, reads=reads)
    smaller = rows[numbers.to(rows.device)]
    is_transposed = isinstance(projection, Conv1D)
    projection.weight = frozen(smaller.T if reads is not is_transposed else smaller)
    bias = projection._parameters.get("bias")
    if bias is not None and not reads:
        projection.bias = frozen(bias[numbers.to(bias.device)])
    inputs, outputs = ("nx", "nf") if is_transposed else ("in_features", "out_features")
    setattr(projection, inputs if reads else outputs, len(parts))


def frozen(tensor: Tensor) -> nn.Parameter:
    """Return a tensor as weights that are not trained."""
    return nn.Parameter(tensor.contiguous(), requires_grad=False)
