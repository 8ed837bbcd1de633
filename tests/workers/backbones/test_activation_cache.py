"""What is kept is what would be computed: forward, backward and over a whole trial."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2Model

from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import Training, TrialConfiguration, patch
from service.artifacts.artifact_store import store_at
from workers.backbones import activation_cache
from workers.backbones.activation_cache import ActivationCache, final_hidden, starts_soundly
from workers.backbones.loading import Backbone, freeze
from workers.data.task_data import FrozenActivations, Pool, TokenisedSplit, TokenisedTask, pad
from workers.fine_tune import fine_tune
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached, logits
from workers.run_trial import Trial, run_trial
from workers.saving.predictions import AnswerForm

CPU = torch.device("cpu")
SPLIT = TokenisedSplit(
    ids=tuple(tuple(range(1, 2 + number % 7)) for number in range(23)),
    labels=tuple(number % 2 for number in range(23)),
)
TASK = TokenisedTask(
    answers=AnswerForm(labels=("a", "b")),
    train=SPLIT,
    validation=SPLIT,
    test=SPLIT,
    dropped={},
    sha256="0" * 64,
)
FROM_LAYER_1 = Peft.model_validate(
    {
        "first_active_layer": 1,
        "serial_adapter": {"bottleneck_size": 3},
        "prefix_tuning": {"length": 2},
        "lora": {"rank": 2},
    }
)


LEANS_ON_LOWER_LAYERS = {
    "t5", "t5 with a gated feed-forward block", "deberta-v2 with own position projections"
}  # fmt: skip


def cached(backbone: Backbone, layer: int, *, max_bytes: int = 10**9) -> TokenisedTask:
    return ActivationCache(max_bytes).task(TASK, key="task", backbone=backbone, layer=layer)


def weights_after(
    backbone: Backbone, split: TokenisedSplit, peft: Peft
) -> tuple[dict[str, Tensor], list[float]]:
    modules = TrialModules(peft, backbone=backbone, classes=2, seed=0).double()
    losses: list[float] = []
    training = Training(epochs=3, batch_size=8, measurements_per_epoch=3, learning_rate=1e-2)
    with attached(modules, backbone=backbone):
        fine_tune(
            modules, split, backbone=backbone, training=training, measure=lambda _, loss: losses.append(loss)
        )
    return modules.state_dict(), losses


def test_a_task_that_is_too_large_is_left_as_it_is(backbone: Backbone) -> None:
    """The limit holds for the three splits together."""
    assert cached(backbone, 1, max_bytes=1000).train.activations is None


def test_nothing_is_kept_when_the_first_layer_trains(backbone: Backbone) -> None:
    """The embeddings are cheap to look up."""
    assert cached(backbone, 0) is TASK


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_training_from_the_cache_takes_the_same_steps(backbone: Backbone, layer: int) -> None:
    """In double precision losses agree to 1e-10 and weights to 1e-9 after nine steps of AdamW."""
    peft = FROM_LAYER_1.model_copy(update={"first_active_layer": layer})
    plain, plain_losses = weights_after(backbone, SPLIT, peft)
    kept, kept_losses = weights_after(backbone, cached(backbone, layer).train, peft)
    assert max(abs(a - b) for a, b in zip(plain_losses, kept_losses, strict=True)) < 1e-10
    assert max(float((plain[name] - kept[name]).abs().max()) for name in plain) < 1e-9


@pytest.mark.parametrize("layer", [1, 2])
def test_activations_of_the_wrong_layer_are_far_off(backbone: Backbone, layer: int) -> None:
    """The negative control: shifted by one layer, losses differ by a hundred times the tolerance."""
    peft = FROM_LAYER_1.model_copy(update={"first_active_layer": layer})
    if backbone.name in LEANS_ON_LOWER_LAYERS:
        assert cached(backbone, layer).train.activations is None
        return
    wrong = cached(backbone, layer - 1 or 2).train
    assert wrong.activations is not None
    shifted = replace(wrong, activations=replace(wrong.activations, layer=layer))
    _, losses = weights_after(backbone, SPLIT, peft)
    _, wrong_losses = weights_after(backbone, shifted, peft)
    assert max(abs(a - b) for a, b in zip(losses, wrong_losses, strict=True)) > 1e-8


def part(positions: Sequence[int]) -> TokenisedSplit:
    ids, labels = (tuple(values[at] for at in positions) for values in (SPLIT.ids, SPLIT.labels))
    return replace(SPLIT, ids=ids, labels=labels)


def dealt(train: range, validation: range) -> TokenisedTask:
    pool = Pool(SPLIT, tuple(train), tuple(validation))
    return replace(TASK, train=part(train), validation=part(validation), pool=pool)


@pytest.mark.parametrize("layer", [1, 3])
def test_folds_are_trained_on_from_what_was_kept_once(backbone: Backbone, layer: int) -> None:
    """The steps of every partition are those without a cache, and a second one computes nothing anew."""
    peft = FROM_LAYER_1.model_copy(update={"first_active_layer": layer})
    cache = ActivationCache(10**9)
    held = []
    for task in (dealt(range(15), range(15, 23)), dealt(range(8, 23), range(8))):
        kept = cache.task(task, key="task", backbone=backbone, layer=layer)
        held.append(cache.bytes_held)
        for split in ("train", "validation"):
            plain, plain_losses = weights_after(backbone, getattr(task, split), peft)
            found, losses = weights_after(backbone, getattr(kept, split), peft)
            assert losses == pytest.approx(plain_losses, abs=1e-10)
            assert max(float((plain[name] - found[name]).abs().max()) for name in plain) < 1e-9
        if kept.train.activations is not None:
            assert kept.train.activations.hidden is kept.validation.activations.hidden  # type: ignore[union-attr]
    assert held[0] == held[1]


def test_rows_of_folds_count_once(bert: Backbone) -> None:
    """The limit holds for the pool and the test split together, however many partitions there are."""
    whole = activation_cache._expected_bytes(TASK, backbone=bert, layer=1)
    task = dealt(range(15), range(15, 23))
    cache = ActivationCache(whole * 2 // 3)
    first = cache.task(task, key="task", backbone=bert, layer=1).train.activations
    again = cache.task(dealt(range(8, 23), range(8)), key="task", backbone=bert, layer=1).test.activations
    assert cache.bytes_held == whole * 2 // 3
    assert isinstance(first, FrozenActivations)
    assert again is cache.task(task, key="task", backbone=bert, layer=1).test.activations


def test_the_model_is_whole_again_after_an_error(bert: Backbone) -> None:
    """A forward pass that raises leaves every layer in its place and no hook."""
    batch = pad(cached(bert, 2).train, [0, 1], pad_id=0, device=CPU)
    names = list(bert.layer_list._modules)
    with pytest.raises(RuntimeError):
        final_hidden(replace(batch, hidden=torch.zeros(2, 3, 5, dtype=torch.double)), backbone=bert)
    assert list(bert.layer_list._modules) == names
    assert not any(module._forward_pre_hooks for module in bert.model.modules())


def test_padding_never_reaches_a_score(backbone: Backbone) -> None:
    """Rows are stored without padding; what stands in their place is masked."""
    task = cached(backbone, 1)
    modules = TrialModules(FROM_LAYER_1, backbone=backbone, classes=2, seed=0).double()
    with attached(modules, backbone=backbone), torch.no_grad():
        together = logits(modules, pad(task.train, [6, 0], pad_id=0, device=CPU), backbone=backbone)
        alone = logits(modules, pad(task.train, [0], pad_id=0, device=CPU), backbone=backbone)
    assert torch.allclose(together[1], alone[0], atol=1e-10)


def test_the_task_used_longest_ago_is_dropped_first(bert: Backbone) -> None:
    """Two layers fit, a third pushes out the first; what is dropped is computed again when needed."""
    whole = activation_cache._expected_bytes(TASK, backbone=bert, layer=1)
    cache = ActivationCache(int(2.5 * whole))
    first = cache.task(TASK, key="a", backbone=bert, layer=1).train.activations
    cache.task(TASK, key="b", backbone=bert, layer=1)
    assert cache.task(TASK, key="a", backbone=bert, layer=1).train.activations is first
    cache.task(TASK, key="c", backbone=bert, layer=1)
    assert cache.bytes_held == 2 * whole
    assert cache.task(TASK, key="a", backbone=bert, layer=1).train.activations is first
    again = cache.task(TASK, key="b", backbone=bert, layer=1).train.activations
    assert isinstance(again, FrozenActivations)


def test_a_window_that_only_long_texts_pass_is_found_out() -> None:
    """Layers that see all and layers that see a window differ on texts longer than the window alone."""
    torch.manual_seed(0)
    configuration = Qwen2Config(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=32, use_sliding_window=True, sliding_window=4, max_window_layers=1,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
    )  # fmt: skip
    model = Qwen2Model(configuration).double()
    mixed = freeze(model, SimpleNamespace(pad_token_id=0), name="mixed", device=CPU)
    short = TokenisedSplit(ids=((1, 2, 3), (4, 5)), labels=(0, 1))
    long = TokenisedSplit(ids=(*short.ids, tuple(range(1, 20))), labels=(0, 1, 0))
    assert starts_soundly(short, backbone=mixed, layer=1)
    assert not starts_soundly(long, backbone=mixed, layer=1)


def test_a_backbone_whose_layers_lean_on_lower_ones_is_found_out(
    bert: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe compares with the whole way, so such a backbone is never cut."""
    assert starts_soundly(SPLIT, backbone=bert, layer=1)
    wrong: Callable[..., Tensor] = lambda layer, batch, backbone: torch.zeros(*batch.ids.shape, 16).double()  # noqa: E731
    monkeypatch.setattr(activation_cache, "_input_of", wrong)
    assert not starts_soundly(SPLIT, backbone=bert, layer=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "rounding"),
    [(torch.float32, 1e-5), pytest.param(torch.bfloat16, 1e-3, marks=pytest.mark.nightly)],
)
def test_a_trial_has_the_same_scores_with_and_without_the_cache(
    small_trial: TrialConfiguration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    rounding: float,
) -> None:
    """On MiniLM: same predictions, losses within what the precision can show, whatever was kept before."""
    monkeypatch.setattr("workers.backbones.loading.frozen_dtype", lambda _: dtype)
    losses = []
    top = patch(small_trial, {"training.epochs": 3})
    for cache_bytes in (0, 2**30):
        parts = ModelCache(None, device=CPU, activation_cache_bytes=cache_bytes)
        report = run_trial(Trial(top, "t", lambda _: False), cache=parts, store=store_at(str(tmp_path)))
        assert report.provenance["starts_at_layer"] == (5 if cache_bytes else 0)
        losses.append((report.metrics["loss"], report.metrics["score"], report.test_metrics["score"]))
    assert losses[0][0] == pytest.approx(losses[1][0], abs=rounding)
    assert losses[0][1:] == losses[1][1:]
