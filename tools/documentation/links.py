"""Links of a file of the repository, as its page of the site needs them.

A file is read on the code's host and on the site. There it may link to anything; the site has pages only, so
a link to another file becomes its path. Knows nothing of the site's builder.
"""

import os
import re
from pathlib import PurePosixPath

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages whose files lie outside of docs/, by their path."""

LINK = re.compile(r"(!?)\[([^\]\[]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def page_of(file: str) -> str | None:
    """Return the page of a file of the repository by its path below docs/, or None if it is no page."""
    below = PurePosixPath(file)
    if file in PAGES:
        return PAGES[file]
    if below.parts[:1] != ("docs",) or not below.suffix:
        return None
    return str(below.relative_to("docs"))


def site_links(text: str, *, file: str) -> str:
    """Return the text of a file with links to pages from its own page; other files are only named."""
    here = PurePosixPath(page_of(file) or file).parent

    def link(match: re.Match[str]) -> str:
        image, shown, target, place = match.groups()
        if ":" in target:
            return match[0]
        named = os.path.normpath(PurePosixPath(file).parent / target)
        page = page_of(named)
        if page is None:
            return shown if named in shown or f"`{named}`" == shown else f"{shown} (`{named}`)"
        return f"{image}[{shown}]({os.path.relpath(page, here)}{place or ''})"

    return LINK.sub(link, text)
