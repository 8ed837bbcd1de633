"""Costs are measured, not guessed."""

import time

import torch

from workers.measuring.costs import measured


def test_memory_that_was_used_and_freed_is_in_the_peak() -> None:
    """A quarter of a gigabyte, touched and given back, shows in the peak; the seconds are real."""
    with measured(torch.device("cpu")) as before:
        time.sleep(0.06)
    with measured(torch.device("cpu")) as spending:
        block = torch.ones(64_000_000)
        time.sleep(0.06)
        del block
    assert spending.peak_memory_bytes - before.peak_memory_bytes > 200_000_000
    assert 0.06 <= spending.seconds < 5
