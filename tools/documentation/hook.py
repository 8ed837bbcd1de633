"""What mkdocs calls while it builds the site: add the pages that no file of docs/ has, mend links."""

import os
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from service.api.openapi import PLACEHOLDERS
from tools.documentation import reference
from tools.documentation.links import PAGES, site_links

SOURCES = {page: file for file, page in PAGES.items()}


def texts() -> dict[str, str]:
    """Return the pages that no file of docs/ has, by their path: the reference, and files beside docs/."""
    # The application wants its settings when it is loaded; no page depends on these.
    os.environ |= PLACEHOLDERS | os.environ
    beside = {page: (reference.ROOT / file).read_text(encoding="utf-8") for page, file in SOURCES.items()}
    return beside | reference.pages()


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add these pages."""
    for path, text in texts().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Return the page with links that lead to pages."""
    path = page.file.src_uri
    return site_links(markdown, file=SOURCES.get(path, f"docs/{path}"))
