"""A trial in a pack takes the steps it takes alone; what could couple the trials of a pack is seen."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from api_schemas.peft.registry import Peft
from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Training
from tests.workers.conftest import tiny
from tests.workers.divergence import diverging_peft
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.fine_tune import fine_tune
from workers.packing import fine_tune as packed_loop
from workers.packing.batches import packed_batches
from workers.packing.compatibility import takes_packs
from workers.packing.fine_tune import fine_tune_packed, packed_losses
from workers.packing.modules import PackedModules, attached_pack
from workers.peft_methods import TrialModules, attached

CPU = torch.device("cpu")
# 23 rows: the last of three batches is shorter, and comes at another step for another seed.
SPLIT = TokenisedSplit(
    ids=tuple(
        tuple(1 + (number * 7 + place) % 40 for place in range(1 + number % 7)) for number in range(23)
    ),
    labels=tuple(number % 2 for number in range(23)),
)
COMMON = {"epochs": 2, "batch_size": 8, "measurements_per_epoch": 3}
PEFTS = [
    {
        "active_layers": [True, False, True],
        "serial_adapter": {"bottleneck_size": 3},
        "prefix_tuning": {"length": 2},
        "lora": {"rank": 2, "key": True, "ffn_in": True},
    },
    {
        "serial_adapter": {"by_layer": [0, 7, 1]},
        "parallel_adapter": {"bottleneck_size": 5, "scaling": 2.0},
        "prefix_tuning": {"by_layer": [4, 0, 1]},
    },
    {"first_active_layer": 2, "lora": {"rank": 3, "alpha": 16.0, "ffn_out": True}},
    {"active_layers": [False, False, False]},
]
RECIPES = [
    {"learning_rate": 1e-2, "seed": 0, "weight_decay": 0.1},
    {"learning_rate": 3e-3, "seed": 1, "warmup_fraction": 0.5},
    {"learning_rate": 2e-2, "seed": 2},
    {"learning_rate": 1e-2, "seed": 3},
]
Trial = tuple[Peft, Training]
TRIALS: list[Trial] = [
    (Peft.model_validate(peft), Training.model_validate({**COMMON, **recipe}))
    for peft, recipe in zip(PEFTS, RECIPES, strict=True)
]


def fresh(trials: Sequence[Trial], backbone: Backbone) -> list[TrialModules]:
    return [
        TrialModules(peft, backbone=backbone, classes=2, seed=training.seed).double().to(backbone.device)
        for peft, training in trials
    ]


def alone(trial: Trial, backbone: Backbone) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of every step, and the weights after the last one."""
    (modules,), losses = fresh([trial], backbone), []
    with attached(modules, backbone=backbone):
        fine_tune(
            modules, SPLIT, backbone=backbone, training=trial[1], measure=lambda _, loss: losses.append(loss)
        )
    return losses, modules.state_dict()


def together(packed: PackedModules, trials: Sequence[Trial], backbone: Backbone) -> list[list[float]]:
    """Losses of every step, a list for each; afterwards the trials hold their weights."""
    losses: list[list[float]] = []
    with attached_pack(packed, backbone=backbone):
        fine_tune_packed(
            packed,
            SPLIT,
            backbone=backbone,
            recipes=[training for _, training in trials],
            measure=lambda _, found: losses.append(found),
        )
    packed.write_back()
    return losses


def worst(
    trials: Sequence[Trial], backbone: Backbone, packed: PackedModules | None = None
) -> tuple[float, float]:
    """The largest differences between packed and alone: of a loss, of a weight."""
    packed = packed or PackedModules(fresh(trials, backbone))
    found = together(packed, trials, backbone)
    loss_difference, weight_difference = 0.0, 0.0
    for number, trial in enumerate(trials):
        losses, weights = alone(trial, backbone)
        mine = [step[number] for step in found]
        loss_difference = max(loss_difference, *(abs(a - b) for a, b in zip(losses, mine, strict=True)))
        trained = packed.trials[number].state_dict()
        weight_difference = max(
            weight_difference, *(float((weights[name] - trained[name]).abs().max()) for name in weights)
        )
    return loss_difference, weight_difference


@st.composite
def trials(draw: st.DrawFn) -> list[Trial]:
    """Two to four trials with sizes, layers, rates and seeds of their own."""

    def sizes() -> dict[str, list[int]]:
        return {"by_layer": draw(st.lists(st.integers(0, 6), min_size=3, max_size=3))}

    def one() -> Trial:
        ranks = [{role: draw(st.integers(0, 3)) for role in ("query", "value", "ffn_out")} for _ in range(3)]
        peft = {
            "active_layers": draw(st.lists(st.booleans(), min_size=3, max_size=3)),
            "serial_adapter": sizes(),
            "parallel_adapter": {**sizes(), "scaling": draw(st.sampled_from([0.5, 4.0]))},
            "prefix_tuning": sizes(),
            "lora": {"by_layer": ranks, "alpha": draw(st.sampled_from([1.0, 16.0]))},
        }
        recipe = {
            "learning_rate": draw(st.sampled_from([1e-4, 1e-3, 1e-2])),
            "weight_decay": draw(st.sampled_from([0.0, 0.1])),
            "warmup_fraction": draw(st.sampled_from([0.0, 0.4])),
            "seed": draw(st.integers(0, 5)),
        }
        return Peft.model_validate(peft), Training.model_validate({**COMMON, **recipe})

    return [one() for _ in range(draw(st.integers(2, 4)))]


@pytest.mark.slow
@settings(max_examples=5, deadline=None, derandomize=True)
@given(trials=trials(), kind=st.sampled_from(["bert", "llama"]))
def test_a_packed_trial_takes_the_steps_it_takes_alone(trials: list[Trial], kind: str) -> None:
    """In double precision losses agree to 1e-10 at every step and weights to 1e-9 after the last."""
    loss, weight = worst(trials, tiny(kind))
    assert loss < 1e-10
    assert weight < 1e-9


def test_every_family_that_takes_packs_takes_the_same_steps(backbone: Backbone) -> None:
    """Prefixes of different lengths, layers that are off, and a trial that trains its head alone."""
    if not takes_packs(backbone):
        assert backbone.name.startswith("deberta")
        return
    loss, weight = worst(TRIALS, backbone)
    # T5 and RMSNorm compute their variance in single precision whatever the weights are.
    single = backbone.name.startswith("t5") or backbone.name in {"llama", "mistral", "qwen2", "qwen3"}
    assert loss < (1e-6 if single else 1e-10)
    assert weight < (1e-6 if single else 1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_a_packed_trial_takes_the_same_steps_on_a_gpu(kind: str) -> None:
    """In double precision too, each side with the kernels that it has there."""
    cuda = torch.device("cuda")
    backbone = replace(tiny(kind), device=cuda)
    backbone.model.to(cuda)
    loss, weight = worst(TRIALS, backbone)
    assert loss < 1e-6
    assert weight < 1e-5


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_a_frozen_part_in_bfloat16_trains_in_packs_too(kind: str) -> None:
    """Trained weights stay in single precision; losses agree as well as bfloat16 lets them."""
    backbone = tiny(kind)
    backbone.model.to(torch.bfloat16)

    def single(chosen: Sequence[Trial]) -> list[TrialModules]:
        return [TrialModules(peft, backbone=backbone, classes=2, seed=one.seed) for peft, one in chosen]

    packed = PackedModules(single(TRIALS))
    found = together(packed, TRIALS, backbone)
    assert packed.stack.values.dtype == torch.float32
    for number, trial in enumerate(TRIALS):
        losses: list[float] = []
        modules = single([trial])[0]
        with attached(modules, backbone=backbone):
            fine_tune(
                modules,
                SPLIT,
                backbone=backbone,
                training=trial[1],
                measure=lambda _, loss, losses=losses: losses.append(loss),
            )
        assert losses == pytest.approx([step[number] for step in found], abs=5e-3)


@pytest.mark.parametrize("number", range(4))
def test_no_gradient_reaches_another_trial(bert: Backbone, number: int) -> None:
    """The gradient of a trial's loss is zero, exactly, on every tensor of the others."""
    packed = PackedModules(fresh(TRIALS, bert))
    packed.stack.values.normal_(0.0, 0.3)
    recipes = [training for _, training in TRIALS]
    batch = next(packed_batches(SPLIT, recipes=recipes, pad_id=0, epoch=1, device=CPU))
    with attached_pack(packed, backbone=bert):
        losses = packed_losses(packed, batch, backbone=bert, kind=TaskKind.CLASSIFICATION)
        packed.stack.differentiate(losses[number])
    others = [other for other in range(4) if other != number]
    assert packed.stack.gradients[number].abs().max() > 0
    assert torch.count_nonzero(packed.stack.gradients[others]) == 0


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_what_a_trial_does_not_have_stays_zero(kind: str) -> None:
    """Units beyond a trial's size, layers that are off and padded prefix rows, after training."""
    backbone = tiny(kind)
    packed = PackedModules(fresh(TRIALS, backbone))
    together(packed, TRIALS, backbone)
    kept = [sum(p.numel() for p in trial.parameters()) for trial in packed.trials]
    for number, trial in enumerate(packed.trials):
        for name, tensor in trial.named_parameters():
            packed.stack._of(number, name, tensor).zero_()
        assert torch.count_nonzero(packed.stack.values[number]) == 0
    assert len(set(kept)) == 4


def test_one_norm_for_the_pack_would_couple_its_trials(
    bert: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A negative control: clipped together, losses are off by a hundred times the tolerance."""

    def clip_together(gradients: Tensor, max_norm: float) -> Tensor:
        norm = gradients.norm()
        gradients.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm.expand(len(gradients))

    monkeypatch.setattr(packed_loop, "clip_each_trial", clip_together)
    assert worst(TRIALS[:2], bert)[0] > 1e-8


def test_swapped_gates_are_far_off(bert: Backbone) -> None:
    """A negative control: each trial with the other's layers."""
    packed = PackedModules(fresh(TRIALS[:2], bert))
    packed.gates = {path: gate.flip(0) for path, gate in packed.gates.items()}
    assert worst(TRIALS[:2], bert, packed)[0] > 1e-8


def test_a_padded_prefix_that_is_seen_is_far_off(bert: Backbone) -> None:
    """A negative control: keys of zeros still draw attention."""
    packed = PackedModules(fresh(TRIALS[:2], bert))
    packed.visible = {path: torch.ones_like(shown) for path, shown in packed.visible.items()}
    assert worst(TRIALS[:2], bert, packed)[0] > 1e-8


def test_a_diverging_trial_ends_alone(bert: Backbone) -> None:
    """It gives its reason; the others end with the weights they have alone."""
    wild = TRIALS[1][0].model_copy(
        update={"parallel_adapter": TRIALS[1][0].parallel_adapter.model_copy(update={"scaling": 1e300})}
    )
    three = [TRIALS[0], (wild, TRIALS[1][1].model_copy(update={"learning_rate": 1.0})), TRIALS[2]]
    packed = PackedModules(fresh(three, bert))
    together(packed, three, bert)
    assert list(packed.ended) == [1]
    assert packed.ended[1].startswith("not-a-number")
    assert torch.count_nonzero(packed.stack.values[1]) == 0
    for number in (0, 2):
        weights = alone(three[number], bert)[1]
        trained = packed.trials[number].state_dict()
        assert max(float((weights[name] - trained[name]).abs().max()) for name in weights) < 1e-9


def test_a_pack_of_diverged_trials_stops(bert: Backbone) -> None:
    """Nothing is measured any more."""
    wild = (diverging_peft(scaling=1e300), TRIALS[0][1].model_copy(update={"learning_rate": 1.0}))
    packed = PackedModules(fresh([wild, wild], bert))
    losses = together(packed, [wild, wild], bert)
    assert sorted(packed.ended) == [0, 1]
    assert len(losses) < 6
