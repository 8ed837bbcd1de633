"""What the trials of a task come to: one entry for each configuration that was tested, and their fronts."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from api_schemas.objectives import Metric
from api_schemas.search_space import PresetName
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks.autopeft.choosing import averaged, front, spread
from benchmarks.autopeft.protocol import FINAL_SEEDS, FULL, OBJECTIVES, TASKS, TEST_SEEDS
from benchmarks.autopeft.results import Trial, path_of, read_trials
from service.catalogue.tasks.packaged import packaged_task
from service.trials.pareto_front import hypervolume

REFERENCE_MARGIN = 1.1
"""The reference lies a tenth beyond the full model's parameters."""


@dataclass(frozen=True)
class Entry:
    """A configuration with its test scores, one for each of `TEST_SEEDS`, in that order.

    `validation_score` is the one it was chosen by; None if it was chosen on another task.
    """

    name: str
    phase: str
    configuration: TrialConfiguration
    validation_score: float | None
    scores: tuple[float, ...]
    trainable_parameters: int

    @property
    def mean(self) -> float:
        """The mean test score."""
        return statistics.fmean(self.scores)

    @property
    def deviation(self) -> float:
        """The standard deviation over the seeds."""
        return statistics.stdev(self.scores)


@dataclass(frozen=True)
class TaskSummary:
    """The entries of a task: by hand in the protocol's order, searched by parameters, transferred."""

    task: str
    manual: tuple[Entry, ...]
    searched: tuple[Entry, ...]
    transferred: tuple[Entry, ...]
    confirmed: tuple[Entry, ...] = ()
    """Chosen by the mean with the final seeds; empty before every one of them has been tested."""

    final_seeds: int = 0
    """Trainings that this took."""

    @property
    def full(self) -> Entry | None:
        """Full fine-tuning."""
        return next((entry for entry in self.manual if entry.name == FULL), None)

    @property
    def manual_peft(self) -> tuple[Entry, ...]:
        """The manual methods but for full fine-tuning."""
        return tuple(entry for entry in self.manual if entry.name != FULL)


def read_summaries(folder: Path, *, preset: PresetName) -> dict[str, TaskSummary]:
    """Summarise every task that has entries by hand and of this search, in the protocol's order."""
    found = {task: summarise(task, trials_of(folder, task, preset=preset)) for task in TASKS}
    return {task: one for task, one in found.items() if one.manual and one.searched}


def trials_of(folder: Path, task: str, *, preset: PresetName) -> list[Trial]:
    """Read a task's trials by hand and those of one search."""
    own = [*read_trials(path_of(folder, task, preset=preset)).values()]
    if preset is PresetName.AUTOPEFT:
        return own
    shared = read_trials(path_of(folder, task)).values()
    return [*(trial for trial in shared if trial.phase in ("manual tuning", "manual")), *own]


def summarise(task: str, trials: Iterable[Trial]) -> TaskSummary:
    """Gather the trials of each configuration; one that lacks a seed is left out."""
    trials = list(trials)
    chosen_by = {
        trial.name: trial.validation_score for trial in trials if trial.phase in ("manual tuning", "search")
    }
    grouped: dict[tuple[str, str], dict[int, Trial]] = defaultdict(dict)
    for trial in trials:
        grouped[trial.phase, trial.name][trial.seed] = trial
    entries: dict[str, list[Entry]] = defaultdict(list)
    for (phase, name), by_seed in grouped.items():
        if phase in ("manual", "searched", "transferred") and set(TEST_SEEDS) <= by_seed.keys():
            of_seeds = [by_seed[seed] for seed in TEST_SEEDS]
            entries[phase].append(
                Entry(
                    name=name,
                    phase=phase,
                    configuration=of_seeds[0].configuration,
                    validation_score=None if phase == "transferred" else chosen_by[of_seeds[0].origin],
                    scores=tuple(_score(trial) for trial in of_seeds),
                    trainable_parameters=of_seeds[0].trainable_parameters,
                )
            )
    tested = {entry.name: entry for entry in entries["searched"]}
    chosen = [tested[one.name] for one in spread(front(trials)) if one.name in tested]
    return TaskSummary(
        task,
        tuple(entries["manual"]),
        tuple(chosen),
        tuple(entries["transferred"]),
        confirmed=_confirmed(trials, tested),
        final_seeds=sum(trial.phase == "final" for trial in trials),
    )


def _confirmed(trials: Sequence[Trial], tested: Mapping[str, Entry]) -> tuple[Entry, ...]:
    members = front(averaged(trials))
    seeds = {(trial.name, trial.seed) for trial in trials if trial.phase == "final"}
    finished = all((member.name, seed) in seeds for member in members for seed in FINAL_SEEDS)
    chosen = spread(members)
    if not finished or not all(member.name in tested for member in chosen):
        return ()
    return tuple(replace(tested[member.name], validation_score=member.validation_score) for member in chosen)


def best(entries: Sequence[Entry]) -> Entry:
    """Return the entry that validation preferred; of equal ones the smallest."""
    return max(entries, key=lambda entry: (entry.validation_score or 0.0, -entry.trainable_parameters))


def at_most(entries: Sequence[Entry], parameters: int) -> Entry | None:
    """Return the entry that validation preferred among those with no more parameters."""
    allowed = [entry for entry in entries if entry.trainable_parameters <= parameters]
    return best(allowed) if allowed else None


def smallest_as_good(entries: Sequence[Entry], score: float) -> Entry | None:
    """Return the smallest entry whose mean test score is at least so high."""
    good = [entry for entry in entries if entry.mean >= score]
    return min(good, key=lambda entry: entry.trainable_parameters) if good else None


def differences(one: Entry, other: Entry) -> list[float]:
    """Subtract test scores seed by seed, in points."""
    return [100 * (left - right) for left, right in zip(one.scores, other.scores, strict=True)]


def hypervolumes(entries: Sequence[Entry], *, task: str, full_parameters: int) -> list[float]:
    """Measure what test scores against log10 of parameters dominate, a value for each seed."""
    reference = (guessing(task), REFERENCE_MARGIN * full_parameters)
    return [
        hypervolume(OBJECTIVES, [_metrics(entry, row) for entry in entries], reference_point=reference)
        for row in range(len(TEST_SEEDS))
    ]


def guessing(task: str) -> float:
    """Return the score of a guess."""
    return 1 / len(packaged_task(task).labels)


def _metrics(entry: Entry, row: int) -> Mapping[str, float]:
    return {
        Metric.SCORE: entry.scores[row],
        Metric.TRAINABLE_PARAMETERS: float(entry.trainable_parameters),
    }


def _score(trial: Trial) -> float:
    # Training that diverged leaves a network that guesses.
    return guessing(trial.task) if trial.test_score is None else trial.test_score
