"""Every method but our modules, on both tiny backbones: one table, one promise per test."""

import copy
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from api_schemas.model_families import FAMILIES
from api_schemas.peft.counts import trainable_parameters
from api_schemas.peft.fitness import method_problem
from api_schemas.peft.lokr import near_square
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration
from tests.workers.conftest import counted_shape, tiny
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch
from workers.errors import UnsupportedBackbone
from workers.peft_methods import TrialModules, attached, logits
from workers.peft_methods.hf_layers import HfLayers

IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
MASK = (IDS != 0).long()
BATCH = Batch(ids=IDS, mask=MASK, labels=torch.tensor([0, 1]))
FITTING = {"rank": 4, "alpha": 8.0, "block_size": 4, "frequencies": 20, "virtual_tokens": 3}
EVERY_ROLE = dict.fromkeys(("query", "key", "value", "attention_output", "ffn_in", "ffn_out"), True)
METHODS = [method for method in PeftMethod if method not in (PeftMethod.MODULES, PeftMethod.HEAD_ONLY)]
# What draws its first change at random, or puts tokens in front, starts near the backbone or elsewhere.
PROMPT_METHODS = {method for method in METHODS if method.definition.is_prompt}
START_ELSEWHERE = PROMPT_METHODS | {PeftMethod.VBLORA}

# One method for each way of standing in a backbone: linear layers replaced as they are, with factors
# taken out, with weights read, with shared tensors, with rank moved after a step; norms; trained tokens.
PATHS = {
    PeftMethod.LORA, PeftMethod.PISSA, PeftMethod.DORA, PeftMethod.VERA, PeftMethod.ADALORA,
    PeftMethod.LN_TUNING, PeftMethod.PROMPT_TUNING, PeftMethod.P_TUNING, PeftMethod.FULL,
}  # fmt: skip


TABLE = pytest.mark.parametrize(
    ("family", "method"),
    [
        pytest.param(
            family, method, marks=[pytest.mark.nightly] if family == "llama" and method not in PATHS else []
        )
        for family in ("bert", "llama")
        for method in METHODS
        if (family, method) != ("llama", PeftMethod.BITFIT)
    ],
)


def peft_of(
    method: PeftMethod, *, layers: tuple[bool, ...] = (True, False, True), **settings: object
) -> Peft:
    sizes = {**FITTING, **EVERY_ROLE, **settings}
    return Peft.model_validate({"method": method, "active_layers": layers, "library": sizes})


def modules_of(backbone: Backbone, peft: Peft, *, seed: int = 1) -> TrialModules:
    return TrialModules(peft, backbone=backbone, classes=2, seed=seed).double()


def hidden_states(backbone: Backbone, modules: TrialModules | None = None) -> Tensor:
    if modules is None:
        found: Tensor = backbone.model(input_ids=IDS, attention_mask=MASK, use_cache=False).last_hidden_state
        return found[MASK.bool()]
    with attached(modules, backbone=backbone):
        return hidden_states(backbone)


def loss_of(modules: TrialModules, backbone: Backbone) -> Tensor:
    return functional.cross_entropy(logits(modules, BATCH, backbone=backbone), BATCH.labels)


def train(modules: TrialModules, backbone: Backbone, *, steps: int) -> list[float]:
    """Plain AdamW with the head fixed; gives the losses before each step and leaves the last gradients."""
    fixed = {id(parameter) for parameter in modules.head.parameters()}
    optimiser = torch.optim.AdamW([p for p in modules.parameters() if id(p) not in fixed], lr=1e-2)
    losses = []
    for step in range(1, steps + 1):
        modules.zero_grad()
        loss = loss_of(modules, backbone)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        optimiser.step()
        modules.after_step(step, steps)
    return losses


@dataclass(frozen=True)
class Traces:
    """What tells whether a network is as it was."""

    parts: dict[str, nn.Module]
    weights: dict[str, Tensor]
    attributes: set[str]
    hidden: Tensor


def traces(backbone: Backbone) -> Traces:
    return Traces(
        parts=dict(backbone.model.named_modules()),
        weights=copy.deepcopy(backbone.model.state_dict()),
        attributes=set(vars(backbone.model)),
        hidden=hidden_states(backbone),
    )


@dataclass(frozen=True)
class Trained:
    """A method on a network of its own: built, attached, trained for eleven steps, detached by an error."""

    backbone: Backbone
    before: Traces
    weights_after_building: dict[str, Tensor]
    modules: TrialModules
    at_first: Tensor
    after_one_step: Tensor
    gradients: dict[str, float | None]
    losses: list[float]


@cache
def trained(family: str, method: PeftMethod) -> Trained:
    """Train once for all tests of a method; they read, and change nothing."""
    backbone = tiny(family)
    before = traces(backbone)
    modules = modules_of(backbone, peft_of(method))
    weights_after_building = copy.deepcopy(backbone.model.state_dict())
    with suppress(ZeroDivisionError), attached(modules, backbone=backbone):
        at_first = hidden_states(backbone).detach()
        losses = train(modules, backbone, steps=1)
        after_one_step = hidden_states(backbone).detach()
        modules.zero_grad()
        loss_of(modules, backbone).backward()  # type: ignore[no-untyped-call]
        gradients = {
            name: None if parameter.grad is None else float(parameter.grad.abs().sum())
            for name, parameter in modules.named_parameters()
        }
        losses += train(modules, backbone, steps=10)
        raise ZeroDivisionError
    return Trained(
        backbone, before, weights_after_building, modules, at_first, after_one_step, gradients, losses
    )


def assert_equal(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


@TABLE
def test_nothing_of_it_stays_behind(family: str, method: PeftMethod) -> None:
    """After a block that trained and raised: the same modules, classes, names, weights, bit-equal outputs."""
    found = trained(family, method)
    model, after = found.backbone.model, traces(found.backbone)
    assert torch.equal(after.hidden, found.before.hidden)
    assert after.parts == found.before.parts
    assert_equal(after.weights, found.before.weights)
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert after.attributes == found.before.attributes


@TABLE
def test_building_does_not_touch_the_backbone(family: str, method: PeftMethod) -> None:
    """PiSSA and OLoRA take factors out of copies, not out of the resident weights."""
    found = trained(family, method)
    assert_equal(found.weights_after_building, found.before.weights)


@TABLE
def test_training_starts_from_the_backbone_as_it_is(family: str, method: PeftMethod) -> None:
    """Up to rounding where a float32 factorisation stands in between."""
    found = trained(family, method)
    difference = (found.at_first - found.before.hidden).abs()
    if method in PROMPT_METHODS:
        assert difference.max() > 0.1
    else:
        assert difference.max() < (0.02 if method in START_ELSEWHERE else 1e-6)


@TABLE
def test_training_changes_the_output_and_lowers_the_loss(family: str, method: PeftMethod) -> None:
    """One step is seen in the hidden states; with the head fixed, eleven steps learn two texts."""
    found = trained(family, method)
    assert (found.after_one_step - found.at_first).abs().max() > 1e-6
    assert found.losses[-1] < found.losses[0]


@TABLE
def test_every_trained_scalar_is_reached(family: str, method: PeftMethod) -> None:
    """Gradients in every trained tensor from the second step on; before it, a zero factor hides the other."""
    found = trained(family, method)
    assert all(parameter.requires_grad for parameter in found.modules.parameters())
    assert [name for name, total in found.gradients.items() if not total] == []


@TABLE
@pytest.mark.parametrize(
    ("layers", "settings"),
    [
        ((True, True, True), {}),
        ((False, True, False), {"rank": 2, "block_size": 8, "virtual_tokens": 1, "frequencies": 7}),
        ((True, False, True), {"key": False, "ffn_in": False, "rank": 6}),
        ((True, True, False), {"query": False, "value": False, "attention_output": False, "rank": 8}),
    ],
)
def test_the_known_cost_is_the_number_of_trained_scalars(
    family: str, method: PeftMethod, layers: tuple[bool, ...], settings: dict[str, object]
) -> None:
    """Formula and tensors agree, for equal and for grouped key-value heads."""
    backbone = tiny(family)
    peft = peft_of(method, layers=layers, **settings)
    configuration = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": peft.model_dump()}
    )
    counted = sum(parameter.numel() for parameter in modules_of(backbone, peft).parameters())
    assert counted == trainable_parameters(configuration, shape=counted_shape(backbone), classes=2)


@TABLE
def test_equal_seeds_give_equal_tensors_whatever_the_global_state(family: str, method: PeftMethod) -> None:
    """Initial values come from the trial's seed, which leaves the global generator where it was."""
    backbone = tiny(family)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = modules_of(backbone, peft_of(method), seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = modules_of(backbone, peft_of(method), seed=7).state_dict()
    other = modules_of(backbone, peft_of(method), seed=8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@TABLE
def test_saved_tensors_give_the_same_network(family: str, method: PeftMethod) -> None:
    """A second network of the same seed with the loaded tensors has the same hidden states."""
    found = trained(family, method)
    loaded = modules_of(found.backbone, peft_of(method))
    loaded.load_state_dict(copy.deepcopy(found.modules.state_dict()))
    assert torch.equal(hidden_states(found.backbone, loaded), hidden_states(found.backbone, found.modules))


@TABLE
def test_trained_tensors_are_float32_over_a_bfloat16_backbone(family: str, method: PeftMethod) -> None:
    """The hidden states stay bfloat16, the trained tensors float32."""
    backbone = tiny(family)
    backbone.model.to(torch.bfloat16)
    modules = TrialModules(peft_of(method), backbone=backbone, classes=2, seed=1)
    with attached(modules, backbone=backbone):
        losses = train(modules, backbone, steps=5)
        assert hidden_states(backbone).dtype == torch.bfloat16
    assert {parameter.dtype for parameter in modules.parameters()} == {torch.float32}
    assert losses[-1] < losses[0]


@TABLE
def test_padding_does_not_matter(family: str, method: PeftMethod) -> None:
    """A text alone gets the same scores as in a batch with a longer one."""
    found = trained(family, method)
    alone = Batch(ids=IDS[1:, :3], mask=MASK[1:, :3], labels=BATCH.labels[1:])
    with attached(found.modules, backbone=found.backbone):
        together = logits(found.modules, BATCH, backbone=found.backbone)[1]
        single = logits(found.modules, alone, backbone=found.backbone)[0]
    assert torch.allclose(together, single, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_without_an_active_layer_only_the_head_is_trained(bert: Backbone, method: PeftMethod) -> None:
    """Prompts know no layers; everything else has no place then."""
    modules = modules_of(bert, peft_of(method, layers=(False, False, False)))
    names = {name.split(".")[0] for name, _ in modules.named_parameters()}
    assert names == ({"head", "library"} if method in PROMPT_METHODS else {"head"})


def test_bitfit_equals_changed_biases(bert: Backbone) -> None:
    """The changes, written into the biases of a copy."""
    modules = modules_of(bert, peft_of(PeftMethod.BITFIT))
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    other = copy.deepcopy(bert)
    with torch.no_grad():
        for name, change in modules.state_dict().items():
            if name.startswith("layers."):
                _, layer, _, path = name.split(".")
                other.layers[int(layer)].get_submodule(path.replace("/", ".")).bias += change  # type: ignore[operator]
    assert torch.allclose(hidden_states(bert, modules), hidden_states(other), atol=1e-10)


def test_lora_through_the_library_equals_our_own(backbone: Backbone) -> None:
    """The same factors in both give the same hidden states; what is no plain linear map is refused."""
    peft = peft_of(PeftMethod.LORA, rank=2, alpha=6.0)
    if FAMILIES[backbone.shape.model_type].is_conv1d:
        with pytest.raises(UnsupportedBackbone, match="no plain linear"):
            modules_of(backbone, peft)
        return
    modules = modules_of(backbone, peft)
    with attached(modules, backbone=backbone):
        train(modules, backbone, steps=3)
    own = TrialModules(
        Peft.model_validate(
            {"active_layers": (True, False, True), "lora": {"rank": 2, "alpha": 6.0, **EVERY_ROLE}}
        ),
        backbone=backbone, classes=2, seed=1,
    ).double()  # fmt: skip
    assert isinstance(modules.library, HfLayers)
    names = {module: name for name, module in backbone.model.named_modules()}
    layers = modules.library.peft_layers()
    with torch.no_grad():
        for number in ("0", "2"):
            for role in EVERY_ROLE:
                layer = layers[names[backbone.part(int(number), role)]]
                own.layers[number].get_submodule(f"lora.{role}").A.copy_(layer.lora_A["default"].weight)  # type: ignore[operator,union-attr]
                own.layers[number].get_submodule(f"lora.{role}").B.copy_(layer.lora_B["default"].weight)  # type: ignore[operator,union-attr]
    assert torch.allclose(hidden_states(backbone, own), hidden_states(backbone, modules), atol=1e-10)


def test_adalora_ends_with_half_of_its_rank(bert: Backbone) -> None:
    """The mean rank of the projections is halved; most of the budget goes where it matters."""
    modules = modules_of(bert, peft_of(PeftMethod.ADALORA))
    with attached(modules, backbone=bert):
        train(modules, bert, steps=20)
    assert isinstance(modules.library, HfLayers)
    values = [layer.lora_E["default"] for layer in modules.library.peft_layers().values()]
    assert sum(int((value != 0).sum()) for value in values) == len(values) * 4 // 2


@pytest.mark.parametrize(
    ("method", "settings", "reason"),
    [
        (PeftMethod.OFT, {"block_size": 5}, "5 does not divide the width 16"),
        (PeftMethod.BOFT, {"block_size": 5}, "5 does not divide the width 16"),
        (PeftMethod.VBLORA, {"block_size": 32}, "32 does not divide the width 16"),
        (PeftMethod.PISSA, {"rank": 17}, "rank 17 exceeds"),
        (PeftMethod.OLORA, {"rank": 17}, "rank 17 exceeds"),
        (PeftMethod.MISS, {"rank": 17}, "rank 17 exceeds"),
        (PeftMethod.HRA, {"rank": 3}, "even rank"),
        (PeftMethod.ADALORA, {"rank": 1}, "at least 2"),
        (PeftMethod.FOURIERFT, {"frequencies": 1000}, "1000 frequencies exceed"),
        (PeftMethod.PROMPT_TUNING, {"virtual_tokens": 5000}, "5000 virtual tokens"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(
    bert: Backbone, method: PeftMethod, settings: dict[str, object], reason: str
) -> None:
    """The trial is infeasible, with the reason."""
    with pytest.raises(UnsupportedBackbone, match=reason):
        modules_of(bert, peft_of(method, **settings))


def test_bitfit_is_refused_where_there_are_no_biases(llama: Backbone) -> None:
    """Llama has none; the reason says so."""
    with pytest.raises(UnsupportedBackbone, match="biases"):
        modules_of(llama, peft_of(PeftMethod.BITFIT))


def test_near_squares_are_those_of_the_library() -> None:
    """LoKr's split of a width, for every width up to 2000."""
    from peft.tuners.lokr.layer import factorization

    assert all(near_square(width) == factorization(width) for width in range(1, 2000))


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("method", [PeftMethod.LN_TUNING, PeftMethod.BITFIT])
def test_norms_and_biases_of_every_family_are_counted(family: str, method: PeftMethod) -> None:
    """A tiny model made from each family's own configuration has what the table of facts says."""
    backbone = tiny(family)
    if method_problem(method.definition, shape=backbone.shape) is not None:
        assert family == "qwen3" or not any(
            "bias" in name for name, _ in backbone.layers[1].named_parameters()
        )
        return
    peft = peft_of(method, layers=(False, True, False))
    counted = sum(parameter.numel() for parameter in modules_of(backbone, peft).parameters())
    trial = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": peft.model_dump()}
    )
    assert counted == trainable_parameters(trial, shape=backbone.shape, classes=2)
