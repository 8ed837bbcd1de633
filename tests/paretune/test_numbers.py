"""Numbers as a person reads them."""

import pytest

from paretune.numbers import format_duration, format_metric


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")]
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """Rounding never gives sixty seconds."""
    assert format_duration(seconds) == text


def test_counts_are_grouped_and_scores_are_short() -> None:
    """98690 is read as 98,690."""
    assert format_metric("trainable_parameters", 98690.0, custom=False) == "98,690"
    assert format_metric("score", 0.783456, custom=False) == "0.7835"
