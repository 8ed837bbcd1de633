"""Choose a few of many points to stand for all of them."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from service.optimization.grid import Codes


def far_apart(points: Float64[Tensor, "n m"], *, count: int) -> list[int]:
    """Return the rows of points chosen one by one, each as far as possible from those before.

    The best in each column come first.
    """
    lowest, highest = points.min(dim=0).values, points.max(dim=0).values
    scaled = (points - lowest) / (highest - lowest).clamp_min(1e-12)
    chosen = list(dict.fromkeys(scaled.argmax(dim=0).tolist()))
    nearest = torch.cdist(scaled, scaled[chosen]).min(dim=1).values
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, torch.cdist(scaled, scaled[chosen[-1:]])[:, 0])
    return chosen


def spread_over(front: Codes, order: Float64[np.ndarray, " n"], *, count: int) -> Codes:
    """Return candidates spaced evenly along an ascending order, both ends included."""
    ranked = front[np.argsort(order, kind="stable")]
    places = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))
    return np.asarray(ranked[places])
