"""Paired tests against scipy and closed forms."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.autopeft.statistics import holm, paired_t, sign_flip, wilcoxon

LEFT, RIGHT = np.array([0.71, 0.74, 0.73, 0.76, 0.72]), np.array([0.70, 0.71, 0.74, 0.72, 0.70])


def test_paired_t_is_scipys() -> None:
    """The one-sample test of differences is the paired test."""
    assert paired_t(list(LEFT - RIGHT)) == pytest.approx(stats.ttest_rel(LEFT, RIGHT).pvalue)


@pytest.mark.parametrize(("differences", "expected"), [([0.0] * 5, 1.0), ([1.0] * 5, 0.0)])
def test_equal_differences_need_no_division_by_zero(differences: list[float], expected: float) -> None:
    """No difference is no evidence; the same one every time is certain."""
    assert paired_t(differences) == expected


def test_sign_flip_is_scipys_exact_permutation_test() -> None:
    """Over all 2^n patterns."""
    differences = LEFT - RIGHT
    expected = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=10_000
    ).pvalue
    assert sign_flip(list(differences)) == pytest.approx(expected)


def test_sign_flip_of_one_sign_is_two_patterns() -> None:
    """All positive: only that pattern and its mirror image are as far from zero, 2 / 2^5."""
    assert sign_flip([1.0, 2.0, 3.0, 4.0, 5.0]) == 2 / 32


def test_sign_flip_refuses_what_does_not_fit() -> None:
    """2^25 patterns are too many."""
    with pytest.raises(ValueError, match="25 differences"):
        sign_flip([1.0] * 25)


def test_wilcoxon_is_scipys() -> None:
    """And no difference at all is no evidence."""
    assert wilcoxon(list(LEFT - RIGHT)) == pytest.approx(stats.wilcoxon(LEFT, RIGHT).pvalue)
    assert wilcoxon([0.0, 0.0]) == 1.0


def test_holm_of_its_textbook_example() -> None:
    """.01 * 4, then .02 * 3; .03 * 2 and .04 * 1 are raised to the largest before them."""
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
