"""Where the tail of outcomes begins."""

import numpy as np
import pytest

from service.clipping import lower_tail


def test_the_tail_is_measured_by_what_lies_above_it() -> None:
    """Median 2, quartiles 1 and 3, best 4: a spread of two; a collapsed run moves it hardly at all."""
    assert lower_tail(np.array([0.0, 1, 2, 3, 4]), spreads=3.0) == pytest.approx((-4.0, 2.0))
    assert lower_tail(np.array([-1e12, 1, 2, 3, 4]), spreads=3.0) == pytest.approx((-4.0, 2.0))


def test_equal_outcomes_have_no_tail() -> None:
    """Nor has a single one."""
    assert lower_tail(np.array([2.0, 2.0]), spreads=3.0) == (-np.inf, 0.0)
    assert lower_tail(np.array([2.0]), spreads=3.0) == (-np.inf, 0.0)
