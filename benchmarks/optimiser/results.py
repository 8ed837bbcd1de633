"""Results on disk: one file for each problem, one JSON line for each finished run."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import json_lines

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
    """Add a run or a timing."""
    json_lines.append(path, asdict(record))


def read_runs(path: Path) -> list[Run]:
    """Read a problem's runs: for each optimiser and seed the one with most trials."""
    best: dict[tuple[str, int], Run] = {}
    for fields in json_lines.read(path):
        run = Run(**fields)
        key = run.proposer, run.seed
        if key not in best or run.trials >= best[key].trials:
            best[key] = run
    return list(best.values())


def read_seconds(path: Path) -> list[SuggestionSeconds]:
    """Read every timing."""
    return [SuggestionSeconds(**fields) for fields in json_lines.read(path)]


def missing(
    runs: Iterable[Run], proposers: Sequence[str], *, seeds: int, trials: int
) -> list[tuple[int, str]]:
    """List (seed, proposer) of a problem that have no run of at least so many trials, seeds first."""
    done = {(run.seed, run.proposer) for run in runs if run.trials >= trials}
    wanted = [(seed, proposer) for seed in range(seeds) for proposer in proposers]
    return [pair for pair in wanted if pair not in done]
