"""Chromium for tests, from the system's packages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

# How long a page may take to show what it should: beside tests that train on the same two cores, seconds.
PATIENCE_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for the length of a block; without one the test is skipped, and says what to install."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no `chromium` on the PATH; on Debian: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=executable,
            chromium_sandbox=False,
            args=["--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield launched
        launched.close()
