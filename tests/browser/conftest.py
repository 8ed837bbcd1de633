"""A browser, and a page that fails its test when anything in it goes wrong."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# How long a page may take to show what it should: beside tests that train on the same two cores, seconds.
PATIENCE_MS = 30_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
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


@pytest.fixture
def page(browser: Browser, server_url: str) -> Iterator[Page]:
    # After the server, so that it is closed before: a server waits for the streams of its pages.
    assert server_url
    context = browser.new_context(viewport={"width": 1366, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    # Time can be turned forward, so that no test waits for the next poll.
    opened.clock.install()
    yield opened
    context.close()
    # The browser itself reports requests that the service refused; everything else is a fault of the page.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []
