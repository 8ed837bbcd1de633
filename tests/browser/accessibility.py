"""What axe finds on a page, in both themes, and whether the page fits a narrow window."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

NARROW = {"width": 400, "height": 800}


def findings(page: Page) -> list[str]:
    """Return the rules that are broken, each with the elements that break it."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for violation in Axe().run(page).response["violations"]:
            places = ", ".join(node["target"][0] for node in violation["nodes"])
            found.append(f"{scheme} {violation['id']}: {places}")
    page.emulate_media(color_scheme="light")
    return found


def width_on_a_narrow_page(page: Page) -> int:
    """Return how wide the page is in a window of 400 px."""
    size = page.viewport_size
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    width: int = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(size or NARROW)  # type: ignore[arg-type]
    return width
