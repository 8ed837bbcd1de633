"""Tables of the results, written into `docs/optimiser.md` between two markers."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.markdown import markdown_table, replace_between
from benchmarks.optimiser.plot import plot_family
from benchmarks.optimiser.problems.catalogue import problem_names
from benchmarks.optimiser.results import Run, SuggestionSeconds, read_runs, read_seconds
from benchmarks.optimiser.seconds import FILE, OBSERVATIONS

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = (
    "<!-- benchmark: begin (written by python -m benchmarks.optimiser report) -->",
    "<!-- benchmark: end -->",
)
CHECKPOINTS = (20, 40, 60, 100)
RANKED_AT = 60
"""Trials at which optimisers are ranked, and over which the area is taken."""

FAMILIES = {
    "simulated-peft": "Simulated AutoPEFT spaces",
    "table": "Real trials on MiniLM",
    "nas-bench-201": "NAS-Bench-201",
    "fcnet": "FCNet",
    "botorch": "BoTorch's test functions",
}
"""The start of a problem's name, and what the report calls such problems; the rest are BoTorch's."""

Runs = Mapping[str, Sequence[Run]]
"""One problem's runs by proposer."""


def write_report(folder: Path, *, document: Path, images: Path) -> None:
    """Replace what stands between the markers of the document, and draw one image for each family.

    Raises:
        ValueError: the document lacks the markers.
    """
    results = load(folder)
    replace_between(document, (BEGIN, END), report(results, read_seconds(folder / FILE)))
    for family in FAMILIES:
        chosen = {name: runs for name, runs in results.items() if family_of(name) == family}
        if chosen:
            plot_family(chosen, path=images / f"optimiser-{family}.png", title=FAMILIES[family])


def load(folder: Path) -> dict[str, Runs]:
    """Read the runs of every problem that has some, in the catalogue's order."""
    found: dict[str, Runs] = {}
    for name in problem_names():
        by_proposer: dict[str, list[Run]] = defaultdict(list)
        for run in read_runs(folder / f"{name}.jsonl"):
            by_proposer[run.proposer].append(run)
        if by_proposer:
            found[name] = dict(by_proposer)
    return found


def report(results: Mapping[str, Runs], timings: Sequence[SuggestionSeconds]) -> str:
    """Write ranks, then a table for each problem, then seconds per suggestion."""
    sections = [_rank_table(results)] if results else ["No results yet."]
    for family, title in FAMILIES.items():
        names = [name for name in results if family_of(name) == family]
        if names:
            sections += [f"### {title}", f"![{title}](images/optimiser-{family}.png)"]
            sections += [problem_table(name, results[name]) for name in names]
    if timings:
        sections += ["### Seconds per suggestion", *_seconds_tables(timings)]
    return "\n\n".join(sections)


def family_of(problem: str) -> str:
    """Return which family a problem belongs to."""
    return next((family for family in FAMILIES if problem.startswith(family)), "botorch")


def problem_table(name: str, runs: Runs) -> str:
    """Write one problem's table, the best after 60 trials first."""
    order = sorted(runs, key=lambda proposer: -_or_worst(mean_at(runs[proposer], RANKED_AT)))
    header = ["optimiser", "seeds", *map(str, CHECKPOINTS), f"area to {RANKED_AT}", "repeats"]
    rows = [
        [
            _name(proposer),
            str(len(runs[proposer])),
            *(_with_error([at(run, count) for run in runs[proposer]]) for count in CHECKPOINTS),
            _with_error([area(run) for run in runs[proposer]]),
            f"{np.mean([run.repeats for run in runs[proposer]]):.1f}",
        ]
        for proposer in order
    ]
    return f"**{name}**\n\n{markdown_table(header, rows)}"


def ranks(runs: Runs) -> dict[str, float]:
    """Rank the optimisers of a problem by their mean after 60 trials; equal means share a rank."""
    means = {proposer: mean_at(found, RANKED_AT) for proposer, found in runs.items()}
    known = {proposer: mean for proposer, mean in means.items() if mean is not None}
    return {
        proposer: 1
        + sum(other > mean for other in known.values())
        + (sum(other == mean for other in known.values()) - 1) / 2
        for proposer, mean in known.items()
    }


def mean_at(runs: Sequence[Run], count: int) -> float | None:
    """Average over the seeds after so many trials; None if no seed went so far."""
    values = [value for run in runs if (value := at(run, count)) is not None]
    return float(np.mean(values)) if values else None


def at(run: Run, count: int) -> float | None:
    """Return a run's share of the best hypervolume after so many trials."""
    return run.hypervolume[count - 1] if run.trials >= count else None


def area(run: Run) -> float | None:
    """Average a run's share over its first 60 trials."""
    return float(np.mean(run.hypervolume[:RANKED_AT])) if run.trials >= RANKED_AT else None


def _rank_table(results: Mapping[str, Runs]) -> str:
    by_problem = {name: ranks(runs) for name, runs in results.items()}
    proposers = sorted({proposer for found in by_problem.values() for proposer in found})
    families = [family for family in FAMILIES if any(family_of(name) == family for name in by_problem)]
    rows = []
    for proposer in proposers:
        own = {name: found[proposer] for name, found in by_problem.items() if proposer in found}
        rows.append((float(np.mean(list(own.values()))), proposer, own))
    header = ["optimiser", "mean rank", "worst", "problems", *(FAMILIES[family] for family in families)]
    table = [
        [_name(proposer), f"{mean:.2f}", f"{max(own.values()):g}", str(len(own))]
        + [
            _mean_or_dash([rank for name, rank in own.items() if family_of(name) == family])
            for family in families
        ]
        for mean, proposer, own in sorted(rows)
    ]
    return (
        f"### Ranks after {RANKED_AT} trials\n\nRank 1 is the best mean over seeds. Compare only rows that "
        f"cover the same number of problems.\n\n{markdown_table(header, table)}"
    )


def _seconds_tables(timings: Sequence[SuggestionSeconds]) -> list[str]:
    tables = []
    for problem in dict.fromkeys(timing.problem for timing in timings):
        grouped: dict[tuple[str, int], list[float]] = defaultdict(list)
        for timing in timings:
            if timing.problem == problem:
                grouped[timing.proposer, timing.observations].append(timing.seconds)
        proposers = list(dict.fromkeys(proposer for proposer, _ in grouped))
        proposers.sort(key=lambda one: float(np.median(grouped.get((one, 100), [math.inf]))))
        header = ["optimiser", *(f"{count} observations" for count in OBSERVATIONS)]
        rows = [
            [_name(one), *(_seconds(grouped.get((one, count), [])) for count in OBSERVATIONS)]
            for one in proposers
        ]
        tables.append(
            f"**{problem}**: median, 95th percentile (suggestions)\n\n{markdown_table(header, rows)}"
        )
    return tables


def _seconds(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{np.median(values):.2f}, {np.quantile(values, 0.95):.2f} ({len(values)})"


def _with_error(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.3f}"
    return f"{np.mean(known):.3f} ± {np.std(known, ddof=1) / math.sqrt(len(known)):.3f}"


def _mean_or_dash(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}" if values else "-"


def _or_worst(value: float | None) -> float:
    return -math.inf if value is None else value


def _name(proposer: str) -> str:
    return f"**{proposer}**" if proposer == "paretune" else proposer
