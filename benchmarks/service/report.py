"""The tables of docs/performance.md, between two markers, from the latest run of each part."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.service.results import Measured, Record, latest

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN = "<!-- benchmarks.service: written by `python -m benchmarks.service report` -->"
END = "<!-- benchmarks.service: end -->"
TITLES = {
    "poll": "Polling",
    "changing": "Reads of a study that changes",
    "sse": "Streams of events",
    "claims": "Claims",
    "large": "A study of 5,000 trials",
    "clone": "Past results, imported and cloned",
    "memory": "Memory",
    "scheduler": "Between trials",
    "ask-and-tell": "Ask and tell",
    "overload": "Overload",
    "poison": "A study that kills its worker",
}


def write_report(results: Path, document: Path) -> None:
    """Replace what stands between the markers."""
    text = document.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    body = tables(latest(results))
    document.write_text(f"{head}{BEGIN}\n\n{body}\n\n{END}{tail}", encoding="utf-8")


def tables(records: Sequence[Record]) -> str:
    """Return a table for each part, with the command that made it."""
    if not records:
        return "Nothing has been measured yet."
    parts = dict.fromkeys(record.part for record in records)
    return "\n\n".join(_table([record for record in records if record.part == part]) for part in parts)


def _table(records: Sequence[Record]) -> str:
    first = records[0]
    names = list(dict.fromkeys(name for record in records for name in record.row.figures))
    header = ["what", *(name.replace("_", " ") for name in names), "target"]
    lines = [header, ["---", *("---:" for _ in names), "---"]]
    lines += [
        [record.row.what, *(_number(record.row, name) for name in names), _target(record.row)]
        for record in records
    ]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    versions = ", ".join(f"{name} {number}" for name, number in first.versions.items())
    return f"**{TITLES[first.part]}** (`{first.command}`, {first.ended[:10]}; {versions})\n\n{table}"


def _number(row: Measured, name: str) -> str:
    return f"{row.figures[name]:,g}" if name in row.figures else ""


def _target(row: Measured) -> str:
    limits = [f"{name.replace('_', ' ')} at most {most:,g}" for name, most in row.at_most.items()]
    limits += [f"{name.replace('_', ' ')} at least {least:,g}" for name, least in row.at_least.items()]
    verdict = {True: "holds", False: "**missed**", None: ""}[row.holds()]
    return f"{'; '.join(limits)}: {verdict}" if limits else ""
