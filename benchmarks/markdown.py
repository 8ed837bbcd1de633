"""Tables of the reports, and where they stand in a document."""

from collections.abc import Sequence
from pathlib import Path


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown; all columns but the first are numbers, which end at the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def replace_between(document: Path, markers: tuple[str, str], body: str) -> None:
    """Put a report where the last one stood; words before and after the markers stay.

    Raises:
        ValueError: The document lacks the markers.
    """
    begin, end = markers
    text = document.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{document} needs the lines {begin} and {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    document.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}", encoding="utf-8")
