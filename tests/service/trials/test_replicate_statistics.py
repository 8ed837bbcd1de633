"""Means and standard errors against closed forms and NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.trials.replicate_statistics import means, standard_errors


def test_one_replicate_has_no_standard_error() -> None:
    """A single seed says nothing about its spread; its mean is itself, to the last bit."""
    assert standard_errors([{"score": 0.7}]) == {}
    assert means([{"score": 0.7}]) == {"score": 0.7}


def test_no_replicate_has_no_mean() -> None:
    """A trial whose seeds all failed has no metrics."""
    assert means([]) == standard_errors([]) == {}


def test_three_replicates_by_hand() -> None:
    """Scores 1, 2 and 6: mean 3, sample variance 7, standard error sqrt(7/3)."""
    replicates = [{"score": 1.0}, {"score": 2.0}, {"score": 6.0}]
    assert means(replicates) == {"score": 3.0}
    assert standard_errors(replicates)["score"] == pytest.approx(math.sqrt(7 / 3))


def test_only_metrics_that_every_replicate_has_are_averaged() -> None:
    """A mean over some of the seeds would be passed off as one over all."""
    assert means([{"score": 1.0, "loss": 2.0}, {"score": 3.0}]) == {"score": 2.0}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_any_replicates_agree_with_numpy(values: list[float]) -> None:
    """Sample standard deviation over the root of the count."""
    replicates = [{"score": value} for value in values]
    assert means(replicates)["score"] == pytest.approx(np.mean(values), abs=1e-6)
    expected = np.std(values, ddof=1) / np.sqrt(len(values))
    assert standard_errors(replicates)["score"] == pytest.approx(expected, abs=1e-6)
