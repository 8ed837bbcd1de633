"""The second half of `docs/first-searches.md`: tables, tests and an image, from what results there are."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from api_schemas.search_space import PresetName
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks.autopeft.plot import plot
from benchmarks.autopeft.protocol import MANUAL, SEARCHED_RATES, TASKS
from benchmarks.autopeft.results import Trial, path_of, read_trials
from benchmarks.autopeft.statistics import holm, paired_t, sign_flip, wilcoxon
from benchmarks.autopeft.summary import (
    Entry,
    TaskSummary,
    at_most,
    best,
    differences,
    hypervolumes,
    read_summaries,
    smallest_as_good,
)
from benchmarks.markdown import markdown_table, replace_between

BEGIN, END = (
    "<!-- benchmark: begin (written by python -m benchmarks.autopeft report) -->",
    "<!-- benchmark: end -->",
)
NAMED_VERSIONS = ("paretune", "torch", "transformers", "botorch")
Summaries = Mapping[str, TaskSummary]
Sides = Mapping[PresetName, Summaries]

TITLES = {PresetName.AUTOPEFT: "AutoPEFT's space", PresetName.LORA: "The preset `lora`"}


def write_report(folder: Path, *, document: Path, images: Path) -> None:
    """Replace what stands between the markers of the document, and draw the image.

    Raises:
        ValueError: The document lacks the markers.
    """
    sides = {preset: read_summaries(folder, preset=preset) for preset in SEARCHED_RATES}
    trials = [
        trial
        for task in TASKS
        for preset in SEARCHED_RATES
        for trial in read_trials(path_of(folder, task, preset=preset)).values()
    ]
    replace_between(document, (BEGIN, END), report(sides, trials))
    if any(sides.values()):
        plot(sides, path=images / "autopeft.png")


def report(sides: Sides, trials: Sequence[Trial]) -> str:
    """Write every section for which there are results."""
    if not any(sides.values()):
        return "No results yet."
    sections = [_provenance(trials), "![Test score against parameters](images/autopeft.png)"]
    for preset, summaries in sides.items():
        sections += [f"### {TITLES[preset]}", *_side(summaries)]
    sections += ["### Every tested configuration", *(task_table(sides, task) for task in TASKS)]
    return "\n\n".join(section for section in sections if section)


def _side(summaries: Summaries) -> list[str]:
    """Compare one search with the methods by hand."""
    if not summaries:
        return ["Not run yet."]
    missing = [task for task in TASKS if task not in summaries]
    return [
        *([f"Not run to the end yet: {', '.join(missing)}."] if missing else []),
        "#### Best against best",
        "Difference of test accuracy in points, searched less by hand: mean ± deviation over five seeds, p "
        "of the paired t test.",
        best_against_best(summaries),
        "#### At no more parameters than the method",
        at_equal_parameters(summaries),
        "#### Parameters for the same test score",
        "The smallest found member whose mean test score is at least the method's, and its share of the "
        "method's parameters.",
        parameters_for_the_score(summaries),
        "#### Hypervolume of the test scores",
        hypervolume_table(summaries),
        *_final_sections(summaries),
        *_transfer_sections(summaries),
    ]


def best_against_best(summaries: Summaries) -> str:
    """Compare what validation preferred on either side, with and without full fine-tuning."""
    header = ["task", "searched", "by hand (PEFT)", "difference", "full fine-tuning", "difference"]
    rows, against_peft, against_full = [], list[float](), list[float]()
    for task, one in summaries.items():
        mine, theirs, full = best(one.searched), best(one.manual_peft), one.full
        row = [task, _short(mine), f"{theirs.name}: {_short(theirs)}", _tested(differences(mine, theirs))]
        against_peft += differences(mine, theirs)
        if full is not None:
            against_full += differences(mine, full)
        full_cells = ["-", "-"] if full is None else [_short(full), _tested(differences(mine, full))]
        rows.append([*row, *full_cells])
    return (
        f"{markdown_table(header, rows)}\n\nOver all of them, against PEFT by hand: {_pooled(against_peft)}"
        + (f"; against full fine-tuning: {_pooled(against_full)}" if against_full else "")
        + "."
    )


def at_equal_parameters(summaries: Summaries) -> str:
    """Compare each method with the member that validation preferred among those that are no larger."""
    header = ["method", *summaries, "all", "sign flip", "Wilcoxon", "sign flip, Holm"]
    pooled: dict[str, list[float]] = {}
    cells: dict[str, list[str]] = {}
    for method in MANUAL:
        found = [_against(one, method) for one in summaries.values()]
        cells[method] = ["-" if values is None else _tested(values) for values in found]
        pooled[method] = [value for values in found for value in values or []]
    tested = [method for method in MANUAL if pooled[method]]
    corrected = dict(zip(tested, holm([sign_flip(pooled[one]) for one in tested]), strict=True))
    rows = [
        [
            method,
            *cells[method],
            f"{statistics.fmean(pooled[method]):+.2f}",
            _p(sign_flip(pooled[method])),
            _p(wilcoxon(pooled[method])),
            _p(corrected[method]),
        ]
        for method in tested
    ]
    return markdown_table(header, rows)


def parameters_for_the_score(summaries: Summaries) -> str:
    """Return how small a member of the front does for each method's score."""

    def cell(one: TaskSummary, method: str) -> str:
        entry = _named(one.manual, method)
        found = None if entry is None else smallest_as_good(one.searched, entry.mean)
        if entry is None or found is None:
            return "-" if entry is None else "none is as good"
        share = found.trainable_parameters / entry.trainable_parameters
        return f"{found.trainable_parameters:,} ({_share(share)})"

    return markdown_table(
        ["method", *summaries], [[m, *(cell(one, m) for one in summaries.values())] for m in MANUAL]
    )


def hypervolume_table(summaries: Summaries) -> str:
    """Compare the hypervolumes of both sides' test points, seed by seed."""
    header = ["task", "searched", "members", "by hand", "methods", "difference", "p"]
    rows, pooled = [], list[float]()
    for task, one in summaries.items():
        if one.full is None:
            continue
        full_parameters = one.full.trainable_parameters
        mine = hypervolumes(one.searched, task=task, full_parameters=full_parameters)
        theirs = hypervolumes(one.manual, task=task, full_parameters=full_parameters)
        gains = [100 * (left / right - 1) for left, right in zip(mine, theirs, strict=True)]
        pooled += gains
        rows.append(
            [
                task,
                f"{statistics.fmean(mine):.3f}",
                str(len(one.searched)),
                f"{statistics.fmean(theirs):.3f}",
                str(len(one.manual)),
                f"{statistics.fmean(gains):+.1f} ± {statistics.stdev(gains):.1f} %",
                _p(paired_t(gains)),
            ]
        )
    everything = f"\n\nOver all of them: {_pooled(pooled, unit='%')}." if pooled else ""
    return markdown_table(header, rows) + everything


def transfer_table(summaries: Summaries) -> str:
    """Compare what another task's search found with the task's own search and with the methods by hand."""
    header = ["task", "transferred", "test", "less own search", "less by hand (PEFT)"]
    rows = [
        [
            task,
            f"{entry.name}, {entry.trainable_parameters:,}",
            _scores(entry),
            _tested(differences(entry, best(one.searched))),
            _tested(differences(entry, best(one.manual_peft))),
        ]
        for task, one in summaries.items()
        for entry in one.transferred
    ]
    return markdown_table(header, rows)


def final_seeds_table(summaries: Summaries) -> str:
    """Compare the best by the mean with final seeds with the best by one seed, and with the best by hand."""
    header = ["task", "final seeds", "best by the mean", "less best by one seed", "less by hand (PEFT)"]
    rows, gained, against_peft = [], list[float](), list[float]()
    for task, one in summaries.items():
        if not one.confirmed:
            continue
        mine = best(one.confirmed)
        gained += differences(mine, best(one.searched))
        against_peft += differences(mine, best(one.manual_peft))
        rows.append(
            [
                task,
                str(one.final_seeds),
                f"{_described(mine)}: {_short(mine)}",
                _tested(differences(mine, best(one.searched))),
                _tested(differences(mine, best(one.manual_peft))),
            ]
        )
    return (
        f"{markdown_table(header, rows)}\n\nOver all of them, against the best by one seed: "
        f"{_pooled(gained)}; against PEFT by hand: {_pooled(against_peft)}."
    )


def task_table(sides: Sides, task: str) -> str:
    """List every tested configuration of a task; in bold what validation preferred of each side."""
    ones = {preset: summaries[task] for preset, summaries in sides.items() if task in summaries}
    if not ones:
        return ""
    manual = next(iter(ones.values()))
    groups = [("", manual.manual, manual.manual_peft)]
    groups += [(f"{preset.value}, ", one.searched, one.searched) for preset, one in ones.items()]
    groups += [
        (f"{preset.value} with final seeds, ", _only_confirmed(one), ()) for preset, one in ones.items()
    ]
    groups += [("", one.transferred, ()) for one in ones.values()]
    header = ["configuration", "learning rate", "parameters", "validation", "test"]
    rows = [
        _row(prefix, entry, preferred=entry in judged and entry is best(judged))
        for prefix, entries, judged in groups
        for entry in entries
    ]
    return f"**{task}**\n\n{markdown_table(header, rows)}"


def _only_confirmed(one: TaskSummary) -> list[Entry]:
    known = {entry.name for entry in one.searched}
    return [entry for entry in one.confirmed if entry.name not in known]


def _row(prefix: str, entry: Entry, *, preferred: bool) -> list[str]:
    name = prefix + _described(entry)
    return [
        f"**{name}**" if preferred else name,
        f"{entry.configuration.training.learning_rate:g}",
        f"{entry.trainable_parameters:,}",
        "-" if entry.validation_score is None else f"{100 * entry.validation_score:.1f}",
        _scores(entry),
    ]


def description(configuration: TrialConfiguration) -> str:
    """Return in a few words what modules a configuration of the search space has, and where."""
    peft = configuration.peft
    sizes = {
        "serial": peft.serial_adapter.bottleneck_size,
        "parallel": peft.parallel_adapter.bottleneck_size,
        "prefix": peft.prefix_tuning.length,
    }
    modules = [f"{name} {size}" for name, size in sizes.items() if size]
    if peft.lora.rank and peft.lora.targets:
        modules.append(f"LoRA {peft.lora.rank} on {' '.join(peft.lora.targets)}")
    layers = [str(layer) for layer, on in enumerate(peft.active_layers or ()) if on]
    return f"{', '.join(modules)} in layers {' '.join(layers)}" if modules and layers else "head alone"


def _described(entry: Entry) -> str:
    return entry.name if entry.phase == "manual" else f"{entry.name}: {description(entry.configuration)}"


def _against(one: TaskSummary, method: str) -> list[float] | None:
    entry = _named(one.manual, method)
    found = None if entry is None else at_most(one.searched, entry.trainable_parameters)
    return None if entry is None or found is None else differences(found, entry)


def _final_sections(summaries: Summaries) -> list[str]:
    if not any(one.confirmed for one in summaries.values()):
        return []
    return ["#### Chosen with final seeds", final_seeds_table(summaries)]


def _transfer_sections(summaries: Summaries) -> list[str]:
    if not any(one.transferred for one in summaries.values()):
        return []
    return ["#### Transfer", transfer_table(summaries)]


def _provenance(trials: Sequence[Trial]) -> str:
    versions = sorted(
        {", ".join(f"{name} {trial.provenance[name]}" for name in NAMED_VERSIONS) for trial in trials}
    )
    hours = sum(trial.cpu_seconds for trial in trials) / 3600
    return f"{len(trials)} trials, {hours:.1f} hours of one CPU core; {'; '.join(versions)}."


def _named(entries: Sequence[Entry], name: str) -> Entry | None:
    return next((entry for entry in entries if entry.name == name), None)


def _tested(values: Sequence[float]) -> str:
    return f"{_mean(values)} (p {_p(paired_t(values))})"


def _pooled(values: Sequence[float], *, unit: str = "points") -> str:
    return (
        f"{statistics.fmean(values):+.2f} {unit} (n = {len(values)}, sign flip p {_p(sign_flip(values))}, "
        f"Wilcoxon p {_p(wilcoxon(values))})"
    )


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):+.2f} ± {statistics.stdev(values):.2f}"


def _short(entry: Entry) -> str:
    return f"{_scores(entry)}, {entry.trainable_parameters:,}"


def _scores(entry: Entry) -> str:
    return f"{100 * entry.mean:.2f} ± {100 * entry.deviation:.2f}"


def _share(share: float) -> str:
    return f"{share:.1%}" if share < 1 else f"{share:.2g}x"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
