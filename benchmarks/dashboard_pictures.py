"""The pictures of the dashboard in `docs/images`, of a study on a running server, which is only read.

`PARETUNE_API_KEY=... python -m benchmarks.dashboard_pictures URL STUDY`; look at them before you commit them.
"""

import argparse
import io
import os
from pathlib import Path

from PIL import Image
from playwright.sync_api import BrowserContext, Page

from benchmarks.chromium import chromium

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 1280
HEIGHT = 800
BELOW_PX = 10
"""Less than what lies between cards, so that none is cut."""
DRAWN_MS = 1_000
"""From the last change until the library has drawn it, animations and all."""
PINNED = 3
COLOURS = 128


def main() -> None:
    """Write three pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("study", help="the id of a study with a front of three points or more, and beliefs")
    parser.add_argument("--folder", type=Path, default=IMAGES)
    parser.add_argument("--width", type=int, default=WIDTH, help="of the window, in pixels")
    arguments = parser.parse_args()
    with chromium() as browser:
        context = browser.new_context(
            viewport={"width": arguments.width, "height": HEIGHT}, reduced_motion="reduce"
        )
        address = f"{arguments.url}/#key={os.environ['PARETUNE_API_KEY']}&study={arguments.study}"
        take_pictures(context, address, folder=arguments.folder)


def take_pictures(context: BrowserContext, address: str, *, folder: Path) -> None:
    """Write the study's page with both fronts, its parameters, and the choice among its points."""
    page = context.new_page()
    page.goto(address)
    page.get_by_test_id("reading").wait_for(state="hidden")
    page.get_by_test_id("shows-belief").check()
    page.wait_for_timeout(DRAWN_MS)
    size = page.viewport_size
    assert size
    # From the top of the page to the end of the cards of the plot and of the best trial.
    top = {"x": 0, "y": 0, "width": size["width"], "height": _end_of_cards(page) + BELOW_PX}
    _save(page.screenshot(full_page=True, clip=top), folder / "dashboard.png")
    _understand(page)
    _save(page.get_by_test_id("understand").screenshot(), folder / "dashboard-understand.png")
    _decide(page)
    _save(page.get_by_test_id("decide").screenshot(), folder / "dashboard-decide.png")


def _end_of_cards(page: Page) -> float:
    """Return where the lower one of the page's first two cards ends."""
    boxes = [card.bounding_box() for card in (page.locator(".card.pareto"), page.get_by_test_id("details"))]
    return float(max(box["y"] + box["height"] for box in boxes if box is not None))


def _save(picture: bytes, file: Path) -> None:
    """Write a picture in the colours of a palette: a third of the bytes, and no difference to see."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(file, optimize=True)


def _understand(page: Page) -> None:
    """Show every trial as a line over the parameters that matter."""
    page.get_by_test_id("understand").scroll_into_view_if_needed()
    page.get_by_test_id("tab-parallel").click()
    page.wait_for_timeout(DRAWN_MS)


def _decide(page: Page) -> None:
    """Pin points from all over the front, then ask for a little more than the least of each objective."""
    pins = page.get_by_test_id("remaining-points").get_by_role("button")
    count = pins.count()
    for place in sorted({round(step * (count - 1) / (PINNED - 1)) for step in range(PINNED)}):
        pins.nth(place).click()
    for slider in page.get_by_test_id("bounds").get_by_role("slider").all():
        slider.press("ArrowRight")
        slider.blur()
    page.wait_for_timeout(DRAWN_MS)


if __name__ == "__main__":
    main()
