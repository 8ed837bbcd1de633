"""Recorded measurements, a line of JSON each: `python -m benchmarks.json_lines` archives the large files.

New lines are appended to NAME.jsonl; what the repository keeps lies compressed in NAME.jsonl.gz beside it.
Reading returns the archived lines first. Knows nothing of what the lines say.
"""

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ARCHIVED_FROM_BYTES = 100_000
FOLDERS = (Path(__file__).parent / "results", Path(__file__).parent / "recorded")


def main() -> None:
    """Archive every large file of recorded lines."""
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.jsonl")):
            if path.stat().st_size >= ARCHIVED_FROM_BYTES or archive_of(path).exists():
                archive(path)
                print(f"{archive_of(path)}: {archive_of(path).stat().st_size:,} bytes")


def append(path: Path, fields: Mapping[str, Any]) -> None:
    """Add a line and make sure that it is on the disk.

    Raises:
        ValueError: If a number is not finite.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(fields, allow_nan=False, separators=(",", ":")) + "\n"
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            # A crash in the middle of a line must not spoil the next one.
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines in the order they were written; one that a crash cut short is left out."""
    found = []
    for line in _text(path).splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def exists(path: Path) -> bool:
    """Return whether anything was recorded there."""
    return path.exists() or archive_of(path).exists()


def names(folder: Path) -> list[str]:
    """Return the names of what a folder has recorded, in order."""
    return sorted({path.name.removesuffix(".gz").removesuffix(".jsonl") for path in folder.glob("*.jsonl*")})


def archive(path: Path) -> None:
    """Move a file's lines behind those of its archive; equal lines make equal archives."""
    text = _text(path)
    archive_of(path).write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    path.unlink()


def archive_of(path: Path) -> Path:
    """Return where a file's lines lie compressed."""
    return path.with_name(f"{path.name}.gz")


def _text(path: Path) -> str:
    archived = gzip.decompress(archive_of(path).read_bytes()).decode() if archive_of(path).exists() else ""
    return archived + (path.read_text(encoding="utf-8") if path.exists() else "")


if __name__ == "__main__":
    main()
