"""Whole packs on the real MiniLM and real text: the reports that each trial has alone."""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import store_at
from tests.workers.conftest import CPU
from tests.workers.divergence import diverging
from workers.interruption import TrialStopped
from workers.measuring.memory import MemoryModel
from workers.model_cache import ModelCache
from workers.packing import run as packing_run
from workers.packing.run import run_packed
from workers.run_trial import Trial, build_modules, run_trial

pytestmark = pytest.mark.slow

CHANGES: list[Parameterization] = [
    {"training.learning_rate": 5e-3},
    {
        "training.learning_rate": 2e-3, "training.seed": 3, "peft.lora.rank": 4,
        "peft.prefix_tuning.length": 3, "peft.active_layers.3": True,
    },
    {"peft.serial_adapter.bottleneck_size": 16, "peft.parallel_adapter.bottleneck_size": 5},
]  # fmt: skip


@pytest.fixture
def three(small_trial: TrialConfiguration) -> list[TrialConfiguration]:
    return [patch(small_trial, change) for change in CHANGES]


def noted_in(measurements: list[Measurement]) -> Callable[[Measurement], bool]:
    """Keep measurements and stop nothing."""

    def note(measurement: Measurement) -> bool:
        measurements.append(measurement)
        return False

    return note


def reports_of(trials: Sequence[Trial], model_cache: ModelCache, artifacts_dir: Path) -> list[TrialReport]:
    return list(
        chain.from_iterable(run_packed(trials, cache=model_cache, store=store_at(str(artifacts_dir))))
    )


def run(
    configurations: Sequence[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> tuple[list[TrialReport], list[list[Measurement]]]:
    measurements: list[list[Measurement]] = [[] for _ in configurations]
    trials = [
        Trial(configuration, f"packed/{number}", noted_in(measurements[number]))
        for number, configuration in enumerate(configurations)
    ]
    return reports_of(trials, model_cache, artifacts_dir), measurements


def test_trials_that_cannot_share_a_pack_run_alone(
    three: list[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Each has its own report, in the order in which they were given."""
    reports, _ = run([three[0], patch(three[0], {"training.epochs": 1})], model_cache, artifacts_dir)
    assert [report.state for report in reports] == [TrialState.SUCCEEDED] * 2
    assert not any("packed_with" in report.provenance for report in reports)


def test_a_task_that_cannot_be_read_is_everyones_reason(
    three: list[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Each trial says so itself."""
    too_many = [patch(configuration, {"task.train_rows": 10**6}) for configuration in three]
    reports, _ = run(too_many, model_cache, artifacts_dir)
    assert [report.state for report in reports] == [TrialState.INFEASIBLE] * 3
    assert all("6398" in (report.reason or "") for report in reports)


def test_a_diverging_trial_is_infeasible_and_the_others_are_not(
    three: list[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Not a number is a fact about one configuration; nothing of it is saved."""
    three[1] = diverging(three[1])
    reports, _ = run(three, model_cache, artifacts_dir)
    states = [report.state for report in reports]
    assert states == [TrialState.SUCCEEDED, TrialState.INFEASIBLE, TrialState.SUCCEEDED]
    assert (reports[1].reason or "").startswith("not-a-number")
    assert sorted(path.name for path in (artifacts_dir / "packed").iterdir()) == ["0", "2"]


def test_a_stopped_pack_leaves_the_backbone_as_it_was(
    three: list[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """The interruption of one trial passes through, and no hook stays behind."""

    def stop(_: Measurement) -> bool:
        raise TrialStopped("cancelled")

    trials = [Trial(configuration, None, stop) for configuration in three]
    with pytest.raises(TrialStopped):
        reports_of(trials, model_cache, artifacts_dir)
    model = model_cache.backbone(three[0].backbone).model
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_trial_that_is_stopped_early_stops_alone(
    three: list[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """It reports its last measurement and saves nothing; the others have both of theirs."""
    seen: list[list[Measurement]] = [[], [], []]
    trials = [Trial(one, f"packed/{n}", noted_in(seen[n])) for n, one in enumerate(three)]
    first: list[Measurement] = []
    trials[1] = Trial(three[1], "packed/1", lambda measurement: first.append(measurement) is None)
    reports = reports_of(trials, model_cache, artifacts_dir)
    states = [report.state for report in reports]
    assert states == [TrialState.SUCCEEDED, TrialState.STOPPED_EARLY, TrialState.SUCCEEDED]
    assert [measurement.metrics for measurement in first] == [reports[1].metrics]
    assert [len(measurements) for measurements in seen] == [2, 0, 2]
    assert sorted(path.name for path in (artifacts_dir / "packed").iterdir()) == ["0", "2"]


def test_a_pack_has_the_scores_of_its_trials_alone(
    three: list[TrialConfiguration], model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Same predictions, losses within 1e-4, same measurements and files; costs divided by three."""
    reports, measurements = run(three, model_cache, artifacts_dir)
    for number, configuration in enumerate(three):
        measured: list[Measurement] = []
        expected = run_trial(
            Trial(configuration, f"alone/{number}", noted_in(measured)),
            cache=model_cache,
            store=store_at(str(artifacts_dir)),
        )
        found = reports[number]
        assert found.provenance["packed_with"] == 3
        assert found.metrics.keys() == expected.metrics.keys()
        for name in ("score", "macro_f1", "collapsed", "trainable_parameters"):
            assert found.metrics[name] == expected.metrics[name]
        for ours, theirs in ((found.metrics, expected.metrics), (found.test_metrics, expected.test_metrics)):
            assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
            assert ours["score"] == theirs["score"]
        assert [one.step for one in measurements[number]] == [one.step for one in measured]
        assert measurements[number][0].metrics["train_loss"] == pytest.approx(
            measured[0].metrics["train_loss"], abs=1e-4
        )
        assert [file.name for file in found.artifacts] == [file.name for file in expected.artifacts]
        weights = [
            load_file(artifacts_dir / kind / str(number) / "weights.safetensors")
            for kind in ("packed", "alone")
        ]
        assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[1])


def test_packs_are_as_large_as_memory_allows(three: list[TrialConfiguration], artifacts_dir: Path) -> None:
    """Where two fit, three become a pack and a trial alone."""
    parts = ModelCache(None, device=CPU)
    modules = [build_modules(configuration, parts) for configuration in three]
    shape = packing_run.shape_of_one(modules, configuration=three[0], cache=parts)
    backbone = parts.backbone(three[0].backbone)
    one = next(
        limit
        for limit in range(10**5, 10**9, 10**5)
        if MemoryModel(limit).trials_at_once(shape, backbone=backbone, batch_size=8)
    )
    parts.memory = MemoryModel(int(2.5 * one))
    reports, _ = run(three, parts, artifacts_dir)
    assert [report.provenance.get("packed_with", 1) for report in reports] == [2, 2, 1]


def test_a_pack_that_runs_out_of_memory_is_cut_in_two(
    three: list[TrialConfiguration],
    model_cache: ModelCache,
    artifacts_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model may be wrong: three become one and two."""
    whole = packing_run.fine_tune_packed

    def too_large_for_three(packed: object, *arguments: object, **named: object) -> None:
        if len(packed.trials) == 3:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory")
        whole(packed, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(packing_run, "fine_tune_packed", too_large_for_three)
    reports, _ = run(three, model_cache, artifacts_dir)
    assert [report.provenance.get("packed_with", 1) for report in reports] == [1, 2, 2]
