"""Metrics against hand-made numbers."""

import pytest
import torch

from workers.evaluate import from_confusion


def test_a_constant_prediction_is_called_collapsed() -> None:
    """Half right by luck is no score to believe."""
    found = from_confusion(torch.tensor([[5, 0], [5, 0]]), loss=0.7)
    assert (found.score, found.collapsed) == (0.5, True)
    assert found.macro_f1 == pytest.approx((2 * 5 / 15 + 0) / 2)


def test_metrics_of_three_classes() -> None:
    """Accuracy 6/10; F1 of each label by its definition."""
    found = from_confusion(torch.tensor([[2, 1, 0], [1, 3, 0], [0, 2, 1]]), loss=0.1)
    assert found.score == pytest.approx(0.6)
    assert found.macro_f1 == pytest.approx((4 / 6 + 6 / 10 + 2 / 4) / 3)
    assert not found.collapsed
