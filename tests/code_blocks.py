"""The code blocks of the documents, as tests run them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, in which language, and its text."""

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order; indentation of a list is taken off."""
    name = str(page.relative_to(ROOT))
    return [
        Block(name, number, language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for number, (indent, language, text) in enumerate(FENCED.findall(page.read_text(encoding="utf-8")))
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(language: str) -> list[Block]:
    """Return the blocks of a language, over all pages."""
    return [block for block in BLOCKS if block.language == language]


def one(page: str, language: str) -> str:
    """Return the first block of a language on a page."""
    return next(block.text for block in BLOCKS if (block.page, block.language) == (page, language))


def commands(block: Block) -> list[str]:
    """Return what is typed in a console block: lines behind a dollar sign, without comments at their end."""
    return [
        re.sub(r"\s{2,}#.*", "", line.removeprefix("$ "))
        for line in block.text.splitlines()
        if line.startswith("$ ")
    ]
