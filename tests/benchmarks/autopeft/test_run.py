"""Resumption, the search's problem, and what full fine-tuning trains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from api_schemas.search_space import OrdinalParameter, Parameterization, PresetName
from api_schemas.trial_configuration import patch
from benchmarks.autopeft.choosing import averaged, front
from benchmarks.autopeft.protocol import FINAL_SEEDS, MANUAL, RATE, SEARCH_TRIALS, SOURCE, TEST_SEEDS
from benchmarks.autopeft.results import append, read_trials
from benchmarks.autopeft.run import (
    Bench,
    confirm,
    observations,
    open_bench,
    problem_of,
    retrain,
    search,
    transfer,
)
from benchmarks.autopeft.training import thawed, train
from service.optimization.suggest import suggest
from tests.benchmarks.autopeft.recorded import configuration, trial
from workers.model_cache import ModelCache

SMALL: Parameterization = {
    "task.train_rows": 8, "task.validation_rows": 8, "task.test_rows": 8, "training.batch_size": 4,
    "training.max_length": 8, "training.epochs": 1,
}  # fmt: skip
SIZE = "peft__serial_adapter__bottleneck_size"
CHEAP: dict[str, Any] = {"peft__serial_adapter__bottleneck_size": 1, "peft__first_active_layer": 5}


@pytest.fixture(scope="module")
def model_cache() -> ModelCache:
    return ModelCache(None, device=torch.device("cpu"))


@pytest.fixture
def bench(tmp_path: Path, model_cache: ModelCache) -> Bench:
    opened = open_bench("tweets", folder=tmp_path)
    return replace(opened, base=patch(opened.base, SMALL), cache=model_cache)


def test_retraining_goes_on_where_it_stopped(bench: Bench) -> None:
    """Only the seeds that the file lacks are trained, with test scores, and the file then has them all."""
    for seed in TEST_SEEDS[1:]:
        done = trial("searched", "a", 0.5, test=0.5, seed=seed, task="tweets")
        append(bench.folder / "tweets.jsonl", done)
        bench.trials[done.key] = done
    chosen = trial("search", "a", 0.5, task="tweets", **CHEAP)
    small = replace(chosen, configuration=patch(chosen.configuration, SMALL))
    for _ in range(2):
        retrain(bench, "searched", "a", small)
    written = read_trials(bench.folder / "tweets.jsonl")
    assert [key[2] for key in written] == [*TEST_SEEDS[1:], TEST_SEEDS[0]]
    new = written["searched", "a", TEST_SEEDS[0]]
    assert new.origin == "a"
    assert new.test_score is not None
    assert new.cpu_seconds > 0


def test_search_goes_on_where_it_stopped(bench: Bench) -> None:
    """From 31 recorded trials the optimiser proposes the last one, and test is not looked at."""
    for number in range(SEARCH_TRIALS - 1):
        size = (0, 1, 3, 6)[number % 4]
        done = trial(
            "search", f"searched {number}", 0.5, task="tweets", parameters=1155 + size,
            peft__serial_adapter__bottleneck_size=size, peft__first_active_layer=number % 6,
        )  # fmt: skip
        bench.trials[done.key] = done
    search(bench)
    (new,) = read_trials(bench.folder / "tweets.jsonl").values()
    assert new.name == f"searched {SEARCH_TRIALS - 1}"
    assert new.test_score is None


def test_the_search_starts_as_the_service_does(bench: Bench) -> None:
    """With the two default starting points that the space holds, and an exact cost."""
    problem = problem_of(bench)
    first, second = suggest(problem, (), pending=(), count=2, seed=0)
    assert first.parameterization["peft.serial_adapter.bottleneck_size"] == 24
    assert second.parameterization["peft.serial_adapter.bottleneck_size"] == 0
    assert {first.generated_by, second.generated_by} == {"starting_point"}
    assert "trainable_parameters" in problem.exact_metrics


def test_the_other_search_has_lora_and_the_rates_by_hand(bench: Bench) -> None:
    """Its cost is bounded by the highest rank on every projection; it has each of their rates."""
    lora = replace(bench, preset=PresetName.LORA)
    problem = problem_of(lora)
    (first,) = suggest(problem, (), pending=(), count=1, seed=0)
    assert first.parameterization["peft.lora.rank"] == 8
    widths = 6 * 64 * (4 * (384 + 384) + 2 * (384 + 1536))
    assert problem.reference_point is not None
    assert problem.reference_point[1] == pytest.approx(1.1 * (widths + 3 * 385))
    rates = {rate for method in MANUAL.values() if not method.trains_backbone for rate in method.rates}
    (searched,) = [one for one in problem.search_space.parameters if one.name == RATE]
    assert isinstance(searched, OrdinalParameter)
    assert rates == set(searched.choices)


def test_a_proposal_without_modules_is_read_back_as_it_was_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRA in no layer is the head alone; its canonical rank 0 is not among the space's ranks."""
    lora = replace(bench, preset=PresetName.LORA)
    monkeypatch.setattr("benchmarks.autopeft.run.SEARCH_TRIALS", 2)
    search(lora)
    problem = problem_of(lora)
    for one in observations(lora, problem, before=2):
        values = one.parameterization
        assert all(
            parameter.contains(values[parameter.name]) for parameter in problem.search_space.parameters
        )
    assert [one.trainable_parameters for one in lora.trials.values()] == [73_728 + 1155, 1155]


def test_every_member_of_the_front_gets_the_final_seeds_and_no_other_trial(bench: Bench) -> None:
    """What is dominated is not trained again; test is not looked at."""
    for name, score, size in (("small", 0.2, 1), ("large", 0.6, 3), ("dominated", 0.1, 6)):
        done = trial("search", name, score, task="tweets", parameters=1155 + size, **CHEAP | {SIZE: size})
        bench.trials[done.key] = replace(done, configuration=patch(done.configuration, SMALL))
    confirm(bench)
    final = [one for one in bench.trials.values() if one.phase == "final"]
    members = {one.name for one in front(averaged(bench.trials.values()))}
    assert members <= {one.name for one in final}
    assert all({one.seed for one in final if one.name == name} == set(FINAL_SEEDS) for name in members)
    assert all(one.test_score is None for one in final)


def test_nothing_is_transferred_before_the_source_has_been_searched(bench: Bench) -> None:
    """Half a front is not the front; and a task is not transferred to itself."""
    append(bench.folder / f"{SOURCE}.jsonl", trial("search", "searched 0", 0.5))
    transfer(bench)
    assert bench.trials == {}


def test_full_fine_tuning_trains_a_copy_of_everything_but_the_pooler(model_cache: ModelCache) -> None:
    """The resident backbone keeps its weights and stays frozen."""
    small = patch(configuration(training__learning_rate=1e-2), SMALL)
    backbone = model_cache.backbone(small.backbone)
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    outcome = train(small, cache=model_cache, trains_backbone=True, tested=True)
    copied = thawed(backbone).model
    expected = sum(p.numel() for name, p in copied.named_parameters() if "pooler" not in name)
    assert outcome.trainable_parameters == expected + 2 * backbone.shape.hidden_size + 2
    assert outcome.test_score is not None
    assert all(torch.equal(value, before[name]) for name, value in backbone.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_test_is_not_looked_at_unless_asked(model_cache: ModelCache) -> None:
    """Tuning and search see validation alone."""
    small = patch(configuration(**CHEAP), SMALL)
    outcome = train(small, cache=model_cache, trains_backbone=False, tested=False)
    assert outcome.test_score is None
    assert outcome.validation_score is not None
