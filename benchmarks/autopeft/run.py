"""Run the trials that a task lacks: tuning by hand and its test, searches and theirs, transfer."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from api_schemas.backbones import BackboneShape
from api_schemas.peft.counts import trainable_parameters
from api_schemas.search_space import Parameterization, PresetName
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch, read
from benchmarks.autopeft.choosing import averaged, front, knee, metrics_of, spread, tuned
from benchmarks.autopeft.protocol import (
    BACKBONE,
    FINAL_SEEDS,
    MANUAL,
    OBJECTIVES,
    SEARCH_TRIALS,
    SEARCHED_RATES,
    SOURCE,
    TEST_SEEDS,
    TUNING_SEED,
    base_configuration,
    search_space,
)
from benchmarks.autopeft.results import Key, Phase, Trial, append, path_of, read_trials
from benchmarks.autopeft.training import train
from service.catalogue.backbones import by_name
from service.catalogue.tasks.packaged import packaged_task
from service.optimization.problem import Observation, Problem
from service.optimization.suggest import suggest
from service.studies.starting_points import default_starting_points
from service.suggestions.exact_metrics import exact_metrics
from workers.model_cache import ModelCache

CACHE_BYTES = 2**29
SEARCHED_NAME = "searched {number}"


@dataclass(frozen=True)
class Bench:
    """What the trials of a task share, those that there are, and where the next ones are written."""

    base: TrialConfiguration
    shape: BackboneShape
    folder: Path
    preset: PresetName
    cache: ModelCache
    trials: dict[Key, Trial]

    @property
    def task(self) -> str:
        """The task's name."""
        return self.base.task.name

    def ensure(
        self,
        phase: Phase,
        name: str,
        configuration: TrialConfiguration,
        *,
        origin: str,
        trains_backbone: bool = False,
    ) -> Trial:
        """Return a trial, running it if it is not there yet."""
        seed = configuration.training.seed
        found = self.trials.get((phase, name, seed))
        if found is not None:
            return found
        tested = phase in ("manual", "searched", "transferred")
        outcome = train(
            canonical(configuration), cache=self.cache, trains_backbone=trains_backbone, tested=tested
        )
        trial = Trial(
            task=self.task,
            phase=phase,
            name=name,
            seed=seed,
            origin=origin,
            configuration=configuration,
            trains_backbone=trains_backbone,
            **vars(outcome),
        )
        append(path_of(self.folder, self.task, preset=self.preset), trial)
        self.trials[trial.key] = trial
        print(
            f"{self.task} {len(self.trials)}: {phase} {name} seed {seed}: {outcome.validation_score} "
            f"{outcome.test_score} {outcome.seconds:.0f} s",
            flush=True,
        )
        return trial


def run_task(task: str, *, folder: Path) -> None:
    """Run what a task lacks; the transfer too if its source has been searched."""
    bench = open_bench(task, folder=folder)
    tune(bench)
    for name, trial in tuned(bench.trials.values()).items():
        retrain(bench, "manual", name, trial)
    for preset in SEARCHED_RATES:
        searched = replace(bench, preset=preset, trials=read_trials(path_of(folder, task, preset=preset)))
        search(searched)
        for member in spread(front(searched.trials.values())):
            retrain(searched, "searched", member.name, member)
        confirm(searched)
        for member in spread(front(averaged(searched.trials.values()))):
            retrain(searched, "searched", member.name, member)
    transfer(bench)


def run_transfer(task: str, *, folder: Path) -> None:
    """Run the transfer that a task lacks."""
    transfer(open_bench(task, folder=folder))


def open_bench(task: str, *, folder: Path) -> Bench:
    """Read a task's trials and get ready for the next."""
    torch.set_num_threads(1)
    cache = ModelCache(None, device=torch.device("cpu"), activation_cache_bytes=CACHE_BYTES)
    shape = by_name.backbone_shape(BACKBONE, models_dir=None)
    base = base_configuration(task, shape=shape)
    preset = PresetName.AUTOPEFT
    return Bench(base, shape, folder, preset, cache, read_trials(path_of(folder, task, preset=preset)))


def tune(bench: Bench) -> None:
    """Try every manual method at each of its rates."""
    for name, method in MANUAL.items():
        for rate in method.rates:
            configuration = canonical(patch(bench.base, {**method.values, "training.learning_rate": rate}))
            bench.ensure(
                "manual tuning",
                f"{name} at {rate:g}",
                configuration,
                origin=name,
                trains_backbone=method.trains_backbone,
            )


def retrain(bench: Bench, phase: Phase, name: str, chosen: Trial) -> None:
    """Train a chosen configuration with the fresh seeds and look at test."""
    for seed in TEST_SEEDS:
        configuration = patch(chosen.configuration, {"training.seed": seed}).model_copy(
            update={"task": bench.base.task}
        )
        bench.ensure(phase, name, configuration, origin=chosen.name, trains_backbone=chosen.trains_backbone)


def search(bench: Bench) -> None:
    """Let the optimiser propose, one trial after the other, from what the earlier ones gave."""
    problem = problem_of(bench)
    for number in range(SEARCH_TRIALS):
        name = SEARCHED_NAME.format(number=number)
        if ("search", name, TUNING_SEED) not in bench.trials:
            seen = observations(bench, problem, before=number)
            (suggestion,) = suggest(problem, seen, pending=(), count=1, seed=0)
            # As proposed: the canonical form has sizes that the space lacks where no layer is active.
            configuration = patch(bench.base, suggestion.parameterization)
            bench.ensure("search", name, configuration, origin=suggestion.generated_by)


def confirm(bench: Bench) -> None:
    """Train members of the front with the final seeds until none lacks one; means move, and so the front."""
    while lacking := [
        (member, seed)
        for member in front(averaged(bench.trials.values()))
        for seed in FINAL_SEEDS
        if ("final", member.name, seed) not in bench.trials
    ]:
        member, seed = lacking[0]
        configuration = patch(member.configuration, {"training.seed": seed})
        bench.ensure("final", member.name, configuration, origin=member.name)


def observations(bench: Bench, problem: Problem, *, before: int) -> list[Observation]:
    """Read the first trials of the search as the optimiser takes them."""
    found = []
    for number in range(before):
        trial = bench.trials["search", SEARCHED_NAME.format(number=number), TUNING_SEED]
        metrics = None if trial.validation_score is None else metrics_of(trial)
        values = read(trial.configuration, [one.name for one in problem.search_space.parameters])
        found.append(Observation(values, metrics))
    return found


def transfer(bench: Bench) -> None:
    """Retrain the knee and the best of the source's front, if its search has ended, on another task."""
    source = read_trials(path_of(bench.folder, SOURCE)).values()
    searched = [trial for trial in source if trial.phase == "search"]
    if bench.task == SOURCE or len(searched) < SEARCH_TRIALS:
        return
    members = front(searched)
    for role, trial in (("best", members[-1]), ("knee", knee(members))):
        if trial is not None:
            retrain(bench, "transferred", f"{role} of {SOURCE}", trial)


def problem_of(bench: Bench) -> Problem:
    """Set the search up as the service does: exact cost, natural reference point, default starting points."""
    shape, base, space = bench.shape, bench.base, search_space(bench.preset, shape=bench.shape)
    classes = len(packaged_task(bench.task).labels)
    largest: Parameterization = {
        one.name: one.choices[-1] if one.type == "ordinal" else True for one in space.parameters
    }
    count = trainable_parameters(canonical(patch(base, largest)), shape=shape, classes=classes)
    return Problem(
        search_space=space,
        objectives=OBJECTIVES,
        constraints=(),
        exact_metrics=exact_metrics(base, shape=shape, classes=classes),
        key=partial(_key, base=base),
        reference_point=(1 / classes, 1.1 * count),
        starting_points=tuple(default_starting_points(space, base, shape=shape, learns=False)),
    )


def _key(parameterization: Parameterization, *, base: TrialConfiguration) -> str:
    return canonical(patch(base, parameterization)).model_dump_json()
