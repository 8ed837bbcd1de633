"""The estimate grows with what costs memory, refuses what cannot fit, and follows what was seen."""

from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from api_schemas.trial_configuration import Training, TrialConfiguration, patch
from service.artifacts.artifact_store import store_at
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.errors import OutOfMemory
from workers.fine_tune import fine_tune
from workers.measuring import memory
from workers.measuring.memory import MemoryModel, TrainingShape, step_bytes
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached
from workers.run_trial import Trial, run_trial

SHAPE = TrainingShape(trained=1000, layers_with_gradient=2, longest=10, heads=4)


@pytest.mark.parametrize(
    "larger",
    [
        replace(SHAPE, trained=100_000),
        replace(SHAPE, layers_with_gradient=3),
        replace(SHAPE, longest=20),
        replace(SHAPE, heads=8),
    ],
)
def test_more_of_anything_needs_more(bert: Backbone, larger: TrainingShape) -> None:
    """Trained scalars, layers, length and heads each raise the estimate."""
    assert step_bytes(larger, backbone=bert, rows=4) > step_bytes(SHAPE, backbone=bert, rows=4)


def test_what_cannot_fit_is_refused_before_it_runs(bert: Backbone) -> None:
    """The reason begins as that of a real failure and says what to lower."""
    with pytest.raises(OutOfMemory, match=r"^out-of-memory \(predicted\).*Lower training\.max_length"):
        MemoryModel(20_000).micro_batch_tokens(SHAPE, backbone=bert, batch_size=8)


def test_weights_that_cannot_fit_are_refused_before_they_are_copied(
    bert: Backbone, small_trial: TrialConfiguration, tmp_path: Path
) -> None:
    """Sixteen bytes for each: itself, its gradient, two moments. The trial says what would fit."""
    MemoryModel(16 * 1000).check_weights(1000, backbone=bert)
    with pytest.raises(OutOfMemory, match="1,001 trained weights need 16,016 bytes"):
        MemoryModel(16 * 1000).check_weights(1001, backbone=bert)
    little = ModelCache(None, device=torch.device("cpu"), trial_memory_bytes=100 * 2**20)
    peft = {"method": "full"}
    configuration = TrialConfiguration.model_validate(small_trial.model_dump(mode="json") | {"peft": peft})
    report = run_trial(
        Trial(configuration, None, lambda _: False), cache=little, store=store_at(str(tmp_path))
    )
    assert report.state == "INFEASIBLE"
    assert report.reason is not None
    assert report.reason.startswith("out-of-memory (predicted): 22,565,376 trained weights")
    assert "peft.first_active_layer" in report.reason


def test_copied_weights_are_counted_once_and_add_no_units_to_layers(bert: Backbone) -> None:
    """They are on the device when the batch is cut; a limit for the whole trial counts them all the same."""
    weights = replace(SHAPE, trains_weights=True)
    assert step_bytes(weights, backbone=bert, rows=1) < step_bytes(SHAPE, backbone=bert, rows=1)
    row = 1.25 * step_bytes(weights, backbone=bert, rows=1)
    fits_three = MemoryModel(int(16 * 1000 + 3.5 * row))
    assert fits_three.micro_batch_tokens(weights, backbone=bert, batch_size=8) == 3 * 10


def test_a_batch_that_does_not_fit_is_cut(bert: Backbone) -> None:
    """As many rows as fit, and never more than the batch."""
    row = 1.25 * step_bytes(SHAPE, backbone=bert, rows=1)
    fits_three = MemoryModel(int(16 * 1000 + 3.5 * row))
    assert fits_three.micro_batch_tokens(SHAPE, backbone=bert, batch_size=8) == 3 * 10
    assert fits_three.micro_batch_tokens(SHAPE, backbone=bert, batch_size=2) == 2 * 10


def test_a_higher_peak_than_estimated_is_learned(bert: Backbone) -> None:
    """After a peak of twice the estimate half as many rows fit; a low peak later does not forget it."""
    estimate = 16 * 1000 + step_bytes(SHAPE, backbone=bert, rows=4)
    model = MemoryModel(int(16 * 1000 + 8.5 * step_bytes(SHAPE, backbone=bert, rows=1)))
    model.learn(SHAPE, backbone=bert, rows=4, observed_bytes=int(2 * estimate) + 1)
    model.learn(SHAPE, backbone=bert, rows=4, observed_bytes=int(0.1 * estimate))
    assert model.micro_batch_tokens(SHAPE, backbone=bert, batch_size=8) == 4 * 10


def test_as_many_trials_at_once_as_have_room_for_whole_batches(bert: Backbone) -> None:
    """Each with its own weights, gradients and moments; none where not even one fits."""
    one = 16 * 1000 + 1.25 * step_bytes(SHAPE, backbone=bert, rows=8)
    for room, trials in ((0.9, 0), (1.1, 1), (4.5, 4)):
        found = MemoryModel(int(room * one)).trials_at_once(SHAPE, backbone=bert, batch_size=8)
        assert found == trials


@pytest.mark.parametrize("tokens", [1, 20])
def test_micro_batches_take_the_same_steps(backbone: Backbone, tokens: int) -> None:
    """Summed gradients of the parts are the gradient of the batch: 1e-12 in double precision."""
    split = TokenisedSplit(
        ids=tuple(tuple(range(1, 2 + row % 6)) for row in range(13)),
        labels=tuple(row % 2 for row in range(13)),
    )
    found = []
    for limit in (None, tokens):
        peft = TrialConfiguration.model_validate(
            {"backbone": "b", "task": {"name": "t"}, "peft": {"lora": {"rank": 2}}}
        ).peft
        modules = TrialModules(peft, backbone=backbone, classes=2, seed=0).double()
        losses: list[float] = []
        with attached(modules, backbone=backbone):
            fine_tune(
                modules,
                split,
                backbone=backbone,
                training=Training(epochs=2, batch_size=5, learning_rate=1e-2, measurements_per_epoch=3),
                micro_batch_tokens=limit,
                measure=lambda _, loss, losses=losses: losses.append(loss),
            )
        found.append(torch.tensor(losses, dtype=torch.double))
    assert (found[0] - found[1]).abs().max() < 1e-12


@pytest.mark.slow
def test_a_small_limit_shrinks_a_real_trial_and_a_tiny_one_refuses_it(
    small_trial: TrialConfiguration, tmp_path: object
) -> None:
    """On MiniLM: the same score with micro-batches, INFEASIBLE where one text does not fit."""

    def trial(limit: int | None) -> tuple[str, float, object]:
        parts = ModelCache(None, device=torch.device("cpu"), trial_memory_bytes=limit)
        report = run_trial(
            Trial(patch(small_trial, {"training.epochs": 1}), "t", lambda _: False),
            cache=parts,
            store=store_at(str(tmp_path)),
        )
        tokens = report.provenance.get("micro_batch_tokens")
        return report.reason or "", report.metrics.get("loss", 0.0), tokens

    _, plain_loss, plain_tokens = trial(None)
    _, cut_loss, cut_tokens = trial(6_000_000)
    assert plain_tokens == 8 * 16
    assert 16 <= int(str(cut_tokens)) < 8 * 16
    assert cut_loss == pytest.approx(plain_loss, abs=1e-5)
    assert trial(100_000)[0].startswith("out-of-memory (predicted)")


def test_a_container_has_what_its_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what its machine has free: a batch cut to that would be killed."""
    resident = psutil.Process().memory_info().rss
    monkeypatch.setattr(memory, "memory_of_machine", lambda: 2 * resident)
    assert 0 < MemoryModel(None).free_bytes(torch.device("cpu")) <= resident


def test_a_training_that_never_fits_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its reason, the first line; and in a line of the log for each try."""
    warned: list[int] = []
    monkeypatch.setattr(memory.log, "warning", lambda _, **of: warned.append(of["micro_batch_divisor"]))

    def fails(_: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory: tried 3 GiB\nmore")

    with pytest.raises(OutOfMemory, match=r"^out-of-memory: CUDA out of memory: tried 3 GiB$"):
        memory.in_smaller_parts(fails)
    assert warned == list(memory.MICRO_BATCH_DIVISORS)
