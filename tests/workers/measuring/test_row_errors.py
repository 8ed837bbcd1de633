"""How far scores may be off for the rows that they are measured on."""

import math

import numpy as np
import pytest

from workers.measuring.row_errors import resampled_error, share_error


def test_a_perfect_share_may_be_off_too() -> None:
    """One right and one wrong row are added."""
    assert share_error(100, 100) == pytest.approx(math.sqrt(101 / 102 * (1 / 102) / 100))
    assert share_error(300, 400) == pytest.approx(math.sqrt(0.75 * 0.25 / 400), rel=0.01)


def test_a_resampled_share_is_off_as_a_share_is() -> None:
    """The same answers have the same error, to the last bit."""
    right = np.arange(400) < 300
    found = [resampled_error(lambda drawn: float(right[drawn].mean()), 400) for _ in range(2)]
    assert found[0] == found[1] == pytest.approx(share_error(300, 400), rel=0.3)
