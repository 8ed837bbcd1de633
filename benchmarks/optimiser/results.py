"""Results on disk: one file for each problem, one JSON line for each finished run."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "results" / "optimiser"


@dataclass(frozen=True)
class Run:
    """One optimiser on one problem with one seed.

    `hypervolume` is normalised, after each trial; `seconds` is what each suggestion took;
    `values` has each trial's objectives, None where the trial was infeasible; `repeats` counts
    trials that were the same as an earlier one.
    """

    problem: str
    proposer: str
    seed: int
    trials: int
    hypervolume: Sequence[float]
    seconds: Sequence[float]
    values: Sequence[Sequence[float] | None]
    repeats: int
    versions: dict[str, str]
    threads: int
    command: str
    ended: str


@dataclass(frozen=True)
class SuggestionSeconds:
    """How long one suggestion took with this many observations told before."""

    problem: str
    proposer: str
    observations: int
    repetition: int
    seconds: float
    versions: dict[str, str]
    threads: int
    command: str
    ended: str


def append(path: Path, record: Run | SuggestionSeconds) -> None:
    """Add a line and make sure that it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(record), allow_nan=False, separators=(",", ":")) + "\n"
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            # A crash in the middle of a line must not spoil the next one.
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read_runs(path: Path) -> list[Run]:
    """Read a problem's runs: for each optimiser and seed the one with most trials."""
    best: dict[tuple[str, int], Run] = {}
    for fields in _lines(path):
        run = Run(**fields)
        key = run.proposer, run.seed
        if key not in best or run.trials >= best[key].trials:
            best[key] = run
    return list(best.values())


def read_seconds(path: Path) -> list[SuggestionSeconds]:
    """Read every timing."""
    return [SuggestionSeconds(**fields) for fields in _lines(path)]


def missing(
    runs: Iterable[Run], proposers: Sequence[str], *, seeds: int, trials: int
) -> list[tuple[int, str]]:
    """List (seed, proposer) of a problem that have no run of at least so many trials, seeds first."""
    done = {(run.seed, run.proposer) for run in runs if run.trials >= trials}
    wanted = [(seed, proposer) for seed in range(seeds) for proposer in proposers]
    return [pair for pair in wanted if pair not in done]


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # a line that a crash cut short: its run is done again
    return found
