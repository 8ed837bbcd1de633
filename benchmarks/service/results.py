"""Results on disk: one JSON line for each thing measured, and the table made of the latest of each."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "service.jsonl"


@dataclass(frozen=True)
class Measured:
    """One row: what was measured, its figures by name (the unit is in the name), and what they should be.

    `at_most` and `at_least` are targets for figures of the same name.
    """

    what: str
    figures: Mapping[str, float]
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)

    def holds(self) -> bool | None:
        """Return whether every target is met; None where there is none."""
        if not self.at_most and not self.at_least:
            return None
        return all(self.figures[name] <= most for name, most in self.at_most.items()) and all(
            self.figures[name] >= least for name, least in self.at_least.items()
        )


@dataclass(frozen=True)
class Record:
    """A row with the part it belongs to and where it was measured."""

    part: str
    row: Measured
    versions: Mapping[str, str]
    command: str
    ended: str


PACKAGES = ("paretune", "fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "sqlalchemy", "psycopg")


def run_part(part: str, rows: Iterable[Measured], *, path: Path, command: str) -> None:
    """Print each row as it comes; write all of them once the part is over."""
    found = []
    for row in rows:
        print(f"{part:9} {row.what}: {_shown(row)}", flush=True)
        found.append(row)
    versions = {"python": python_version(), **{name: version(name) for name in PACKAGES}}
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    append(path, [Record(part, row, versions, command, ended) for row in found])


def append(path: Path, records: Iterable[Record]) -> None:
    """Add lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(asdict(record), allow_nan=False) + "\n")


def latest(path: Path) -> list[Record]:
    """Read the records of each part's last run, parts in the order of their first run."""
    found: dict[str, list[Record]] = {}
    if not path.exists():
        return []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields: dict[str, Any] = json.loads(line)
        record = Record(**{**fields, "row": Measured(**fields["row"])})
        known = found.setdefault(record.part, [])
        if known and known[0].ended != record.ended:
            known.clear()
        known.append(record)
    return [record for records in found.values() for record in records]


def _shown(row: Measured) -> str:
    """Return the figures in one line, and whether the target holds."""
    verdict = {True: " (holds)", False: " (MISSED)", None: ""}[row.holds()]
    return ", ".join(f"{name} {value:g}" for name, value in row.figures.items()) + verdict
