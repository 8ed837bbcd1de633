"""A few of many points, chosen to stand for all of them."""

import numpy as np
import torch

from service.optimization.representatives import far_apart, spread_over


def test_a_spread_holds_both_ends() -> None:
    """Five of eleven points, in order."""
    front = np.arange(11, dtype=float)[:, None]
    chosen = spread_over(front, -front[:, 0], count=5)
    assert chosen[:, 0].tolist() == [10.0, 8.0, 5.0, 2.0, 0.0]


def test_points_far_apart_begin_with_the_best_of_each_column() -> None:
    """Of a line with a crowd at one end: both ends, then the middle of the gap."""
    points = torch.tensor(
        [[0.0, 1.0], [0.01, 0.99], [0.02, 0.98], [0.5, 0.5], [1.0, 0.0]], dtype=torch.double
    )
    assert far_apart(points, count=3) == [4, 0, 3]
