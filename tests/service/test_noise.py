"""What is known of the noise of means over seeds, from the seeds, the rows and what is expected."""

import numpy as np
import pytest

from service.noise import EXPECTED_DEGREES, ROW_SHARE, SEED_DEVIATION, SEED_SHARE, noise_of

UNKNOWN = np.full(6, np.nan)
ROWS = np.full(6, 0.02)
EXPECTED = SEED_DEVIATION**2 + SEED_SHARE * 0.02**2


def of(seeds: dict[int, int], deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the seeds of six trials, and the standard errors of those that have several."""
    counts, errors = np.ones(6), UNKNOWN.copy()
    for trial, count in seeds.items():
        counts[trial], errors[trial] = count, deviation / count**0.5
    return counts, errors


def test_without_seeds_rows_or_trials_nothing_is_known() -> None:
    """Nor from a single pair of seeds."""
    assert noise_of(seeds=np.ones(6), errors=UNKNOWN, row_errors=UNKNOWN) is None
    assert noise_of(seeds=np.ones(0), errors=np.ones(0), row_errors=np.ones(0)) is None
    counts, errors = of({0: 2}, 0.1)
    assert noise_of(seeds=counts, errors=errors, row_errors=UNKNOWN) is None


def test_before_there_are_seeds_the_noise_is_the_expected_one() -> None:
    """A trial that does not tell the error of its rows has the average one."""
    rows = ROWS.copy()
    rows[3] = np.nan
    found = noise_of(seeds=np.ones(6), errors=UNKNOWN, row_errors=rows)
    assert found is not None
    assert found.of_mean == pytest.approx(np.full(6, EXPECTED + ROW_SHARE * 0.02**2))


def test_the_spread_over_seeds_is_pooled_and_drawn_towards_the_expected_one() -> None:
    """Two trials of three seeds count as much as the expectation; the others get the pooled variance."""
    counts, errors = of({0: 3, 1: 3}, 2.0 * EXPECTED**0.5)
    found = noise_of(seeds=counts, errors=errors, row_errors=ROWS)
    assert found is not None
    assert EXPECTED_DEGREES == 4.0
    assert found.from_seed_to_seed[2:] == pytest.approx(np.full(4, 2.5 * EXPECTED))


def test_without_rows_the_seeds_alone_tell() -> None:
    """Four degrees of freedom do."""
    counts, errors = of({0: 3, 1: 3}, 0.3)
    found = noise_of(seeds=counts, errors=errors, row_errors=UNKNOWN)
    assert found is not None
    assert found.of_mean[2:] == pytest.approx(np.full(4, 0.09))


def test_more_seeds_never_take_away_the_error_of_the_rows() -> None:
    """The seeds' part of the variance falls as 1 / n."""
    counts, errors = of({0: 10_000}, EXPECTED**0.5)
    found = noise_of(seeds=counts, errors=errors, row_errors=ROWS)
    assert found is not None
    assert found.of_mean[0] == pytest.approx(ROW_SHARE * 0.02**2, rel=0.01)


def test_a_run_that_collapsed_is_no_noise_of_the_others() -> None:
    """Its own spread stays large."""
    counts, errors = of({0: 3, 1: 3}, EXPECTED**0.5)
    errors[1] = 0.3
    found = noise_of(seeds=counts, errors=errors, row_errors=ROWS)
    assert found is not None
    assert found.from_seed_to_seed[2] < 3 * EXPECTED
    assert found.from_seed_to_seed[1] > 0.1
