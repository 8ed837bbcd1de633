"""What of the outcomes the models are told."""

import pytest
import torch

from service.optimization.surrogate import without_lower_tail

BULK = [100.0, 100.2, 100.4, 100.6, 100.8, 101.0]


def test_a_collapsed_run_is_pulled_up_to_the_tail() -> None:
    """Median 100.4, spread 0.6."""
    raised = without_lower_tail(torch.tensor([-1e12, *BULK], dtype=torch.double))
    assert raised.tolist() == pytest.approx([98.6, *BULK])


@pytest.mark.parametrize(("low", "limit", "raised"), [(5.0, 10.0, 9.4), (5.0, 98.0, 97.4), (5.0, 5.0, 5.0)])
def test_nothing_is_pulled_across_a_limit(low: float, limit: float, raised: float) -> None:
    """It stays a spread on its own side, or where it was if it stood nearer."""
    outcomes = torch.tensor([low, *BULK], dtype=torch.double)
    assert without_lower_tail(outcomes, limits=[limit]).tolist() == pytest.approx([raised, *BULK])


def test_a_limit_above_or_below_both_changes_nothing() -> None:
    """Only one between an outcome and the tail matters."""
    outcomes = torch.tensor([5.0, *BULK], dtype=torch.double)
    assert torch.equal(without_lower_tail(outcomes, limits=[1.0, 200.0]), without_lower_tail(outcomes))
