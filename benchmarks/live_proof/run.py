"""Search, then test: lines are written as they are known; a second run goes on where the first stopped."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from api_schemas.studies import Budget, StudyCreate, StudyState
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks import json_lines
from benchmarks.autopeft.protocol import OBJECTIVES, TUNING_SEED
from benchmarks.autopeft.training import train
from benchmarks.live_proof.cases import (
    AGAIN_SEEDS,
    SEARCHES,
    TEST_SEEDS,
    TRAININGS,
    Case,
    best_by_hand_elsewhere,
    configuration_by_hand,
    default,
    methods_by_hand,
    tested,
)
from benchmarks.live_proof.service_without import service_without
from paretune.client import Client
from paretune.client.study import Study
from workers.model_cache import ModelCache

RESULTS = Path(__file__).parents[1] / "results" / "live_proof.jsonl"
CACHE_BYTES = 2**30
BY_SCORE = ("score:1",)
DEFAULT = "LoRA 8, customary"
BY_HAND = "by hand"
TEST, AGAIN = "test", "again"


@dataclass
class Run:
    """A case, what is written of it, and the models in memory."""

    case: Case
    results: Path
    cache: ModelCache = field(
        default_factory=partial(
            ModelCache, None, device=torch.device("cpu"), activation_cache_bytes=CACHE_BYTES
        )
    )

    def lines(self, kind: str) -> list[Mapping[str, Any]]:
        """Return what is written of a kind, in order."""
        return [
            line
            for line in json_lines.read(self.results)
            if line["case"] == self.case.name and line["kind"] == kind
        ]

    def write(self, kind: str, **fields: Any) -> None:
        """Write a line and say it."""
        json_lines.append(self.results, {"case": self.case.name, "kind": kind, **fields})
        shown = {name: value for name, value in fields.items() if not isinstance(value, dict | list)}
        print(self.case.name, kind, shown, flush=True)


def run_case(case: Case, *, folder: Path, trial_workers: int, results: Path = RESULTS) -> None:
    """Do what a case lacks: its searches, then tests of what they found and of what it is compared with."""
    torch.set_num_threads(1)
    run = Run(case, results)
    if len(run.lines("search")) < SEARCHES:
        place = folder / case.name.replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        with service_without(case.task, folder=place, trial_workers=trial_workers) as client:
            search(run, client)
    for line in run.lines("search"):
        for choice in ("best", "recommended"):
            if line[choice] is not None:
                configuration = TrialConfiguration.model_validate(line[choice]["configuration"])
                configuration = tested(case, configuration)
                measure_on_test(run, f"search {line['search']} {choice}", configuration)
    measure_on_test(run, DEFAULT, default(case))
    by_hand(run)


def search(run: Run, client: Client) -> None:
    """Run the searches that a case lacks, all at once, and write down what each of them answers."""
    known = {study.display_name: study.id for study in client.studies()}
    ids = {
        number: known.get(_title(run.case, number)) or client.create_study(_study(run.case, number)).id
        for number in range(SEARCHES)
    }
    written = {line["search"] for line in run.lines("search")}
    for number, study_id in ids.items():
        if number not in written:
            started = time.time()
            study = Study(client, study_id).wait()
            if study.state is not StudyState.SUCCEEDED:
                raise RuntimeError(f"search {number} is {study.state.value}: resume it")
            run.write(
                "search",
                search=number,
                waited_seconds=round(time.time() - started),
                trainings=study.budget_spent,
                **found(client, study_id),
            )


def found(client: Client, study_id: str) -> dict[str, Any]:
    """Return what a study recommends by its usual rule, if it does, and what it believes to score best."""
    usual = client.recommendation(study_id)
    best = client.recommendation(study_id, weights=BY_SCORE)
    against = usual.against_default
    return {
        "reason": usual.reason,
        "recommended": None if usual.trial_id is None else _chosen(usual),
        "best": _chosen(best),
        "probability_better": None if against is None else against.probability_better,
    }


def measure_on_test(
    run: Run,
    name: str,
    configuration: TrialConfiguration,
    *,
    kind: str = TEST,
    seeds: Sequence[int] = TEST_SEEDS,
) -> None:
    """Train a configuration with each seed that it lacks, and look at test rows."""
    written = {(line["name"], line["seed"]) for line in run.lines(kind)}
    for seed in seeds:
        if (name, seed) not in written:
            seeded = canonical(patch(configuration, {"training.seed": seed}))
            outcome = train(seeded, cache=run.cache, trains_backbone=False, tested=True)
            run.write(
                kind,
                name=name,
                seed=seed,
                score=outcome.test_score,
                validation_score=outcome.validation_score,
                parameters=outcome.trainable_parameters,
                cpu_seconds=outcome.cpu_seconds,
            )


def by_hand(run: Run) -> None:
    """Test the best method by hand: tuned elsewhere on a small case, here on the large one."""
    if not run.case.is_large:
        name, scores = best_by_hand_elsewhere(run.case)
        if not run.lines(BY_HAND):
            run.write(BY_HAND, name=name, scores=list(scores.values()))
        return
    written = {(line["method"], line["rate"]) for line in run.lines("tuning")}
    for method, rates in methods_by_hand(run.case).items():
        for rate, configuration in rates.items():
            if (method, rate) not in written:
                seeded = patch(configuration, {"training.seed": TUNING_SEED})
                outcome = train(canonical(seeded), cache=run.cache, trains_backbone=False, tested=False)
                run.write("tuning", method=method, rate=rate, score=outcome.validation_score)
    chosen = max(run.lines("tuning"), key=lambda line: (line["score"] or 0.0, -line["rate"]))
    name = f"{BY_HAND}: {chosen['method']} @ {chosen['rate']:g}"
    measure_on_test(run, name, methods_by_hand(run.case)[chosen["method"]][chosen["rate"]])


def again(case: Case, *, results: Path = RESULTS) -> None:
    """Train the best by hand and what the searches found once more, both here, with ten seeds.

    Methods by hand were tested elsewhere, with other seeds and perhaps in another precision.
    """
    torch.set_num_threads(1)
    run = Run(case, results)
    measure_on_test(run, BY_HAND, configuration_by_hand(case), kind=AGAIN, seeds=AGAIN_SEEDS)
    for line in run.lines("search"):
        best = TrialConfiguration.model_validate(line["best"]["configuration"])
        measure_on_test(run, f"search {line['search']}", tested(case, best), kind=AGAIN, seeds=AGAIN_SEEDS)


def _title(case: Case, number: int) -> str:
    return f"{case.name}, search {number}"


def _study(case: Case, number: int) -> StudyCreate:
    return StudyCreate.model_validate(
        {
            "display_name": _title(case, number),
            # Each search has its own luck, in training as in what it proposes.
            "configuration": patch(case.searched, {"training.seed": number * TRAININGS}).model_dump(
                mode="json", exclude={"peft"}
            ),
            "search_space": {"preset": "auto"},
            "objectives": [one.model_dump(mode="json") for one in OBJECTIVES],
            "budget": Budget(trials=TRAININGS).model_dump(mode="json", exclude_none=True),
            "parallelism": 1,
            "seed": number,
        }
    )


def _chosen(answer: Any) -> dict[str, Any]:
    return {
        "number": answer.number,
        "modules": answer.modules,
        "metrics": answer.metrics,
        "believed": {name: one.model_dump(mode="json") for name, one in answer.believed.items()},
        "configuration": answer.configuration.model_dump(mode="json"),
    }
