"""How well a linear head could answer from a network's outputs, in closed form: no training, no seed."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from api_schemas.tasks import TaskKind
from workers.data.task_data import TokenisedSplit

RIDGES = tuple(10.0**power for power in range(-3, 4))
"""Penalties that are tried, relative to the number of rows."""


def unexplained(features: Float[Tensor, "n h"], split: TokenisedSplit) -> float:
    """Return the share of the variance of a split's answers that a linear head leaves unexplained.

    The head is ridge regression on standardised features, each row predicted by the head that was fitted
    to all others (PRESS; Allen 1974), at the penalty that does best. 1 is what no features at all give.
    """
    targets = _targets(split).to(torch.float64)
    targets -= targets.mean(dim=0)
    columns = features.detach().to("cpu", torch.float64)
    rows = len(columns)
    if rows == 1:
        return 1.0  # there is no other row to fit a head to
    spread = columns.std(dim=0).clamp_min(1e-12)
    left, sizes, _ = torch.linalg.svd((columns - columns.mean(dim=0)) / spread, full_matrices=False)
    without_features = (targets * rows / (rows - 1)).square().sum()
    inside = left.T @ targets
    lowest = torch.inf
    for ridge in RIDGES:
        shrinkage = sizes.square() / (sizes.square() + ridge * rows)
        residuals = targets - left @ (shrinkage.unsqueeze(1) * inside)
        leverage = left.square() @ shrinkage + 1 / rows
        left_out = residuals / (1 - leverage).clamp_min(1e-6).unsqueeze(1)
        lowest = min(lowest, float(left_out.square().sum() / without_features))
    return lowest


def _targets(split: TokenisedSplit) -> Float[Tensor, "n c"]:
    labels = torch.tensor(split.labels)
    if split.kind is TaskKind.CLASSIFICATION:
        return functional.one_hot(labels).double()
    return labels.double().reshape(len(labels), -1)
