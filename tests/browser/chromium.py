"""Chromium for tests, from the system's packages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.chromium import MISSING, NAME
from benchmarks.chromium import chromium as launched_chromium

# How long a page may take to show what it should: beside tests that train on the same two cores, seconds.
PATIENCE_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for the length of a block; without one the test is skipped, and says what to install."""
    if shutil.which(NAME) is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    with launched_chromium() as launched:
        yield launched
