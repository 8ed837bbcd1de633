"""Chromium from the system's packages, for whatever looks at the dashboard. Knows no page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAME = "chromium"
MISSING = "no `chromium` on the PATH; on Debian: apt-get install chromium"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for the length of a block; without one the program ends, and says what to install."""
    executable = shutil.which(NAME)
    if executable is None:
        raise SystemExit(MISSING)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=executable,
            chromium_sandbox=False,
            args=["--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield launched
        launched.close()
