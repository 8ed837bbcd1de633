"""A browser, and a page that fails its test when anything in it goes wrong."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


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
