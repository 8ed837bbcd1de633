"""Every method of HF `peft`, and BitFit, on both tiny backbones: one table, one promise per test."""

import copy
from contextlib import suppress

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from api_schemas.library_parameters import CONV1D_FAMILIES, method_problem, near_square
from api_schemas.peft_methods import PROMPT_METHODS, SETTINGS, PeftMethod
from api_schemas.trainable_parameters import trainable_parameters
from api_schemas.trial_configuration import Peft, TrialConfiguration
from tests.workers.conftest import tiny
from workers.backbones.loading import FAMILIES, Backbone
from workers.data.task_data import Batch
from workers.errors import UnsupportedBackbone
from workers.peft_methods import TrialModules, attached, library, logits

IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
MASK = (IDS != 0).long()
BATCH = Batch(ids=IDS, mask=MASK, labels=torch.tensor([0, 1]))
FITTING = {"rank": 4, "alpha": 8.0, "block_size": 4, "frequencies": 20, "virtual_tokens": 3}
EVERY_ROLE = dict.fromkeys(("query", "key", "value", "attention_output", "ffn_in", "ffn_out"), True)
METHODS = [method for method in PeftMethod if method not in (PeftMethod.MODULES, PeftMethod.HEAD_ONLY)]
# What draws its first change at random, or puts tokens in front, starts near the backbone or elsewhere.
START_ELSEWHERE = PROMPT_METHODS | {PeftMethod.VBLORA}

TABLE = pytest.mark.parametrize(
    ("family", "method"),
    [
        pytest.param(family, method, marks=[pytest.mark.slow] if family == "llama" else [])
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


def train(modules: TrialModules, backbone: Backbone, *, steps: int) -> list[float]:
    """Plain AdamW; gives the losses before each step and leaves the last gradients in place."""
    optimiser = torch.optim.AdamW(modules.parameters(), lr=1e-2)
    losses = []
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        loss = functional.cross_entropy(logits(modules, BATCH, backbone=backbone), BATCH.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        optimiser.step()
        modules.after_step(step, steps)
    return losses


@TABLE
def test_nothing_of_it_stays_behind(family: str, method: PeftMethod) -> None:
    """After a block that trained and raised: the same modules, classes, names, weights, bit-equal outputs."""
    backbone = tiny(family)
    before = hidden_states(backbone)
    parts = dict(backbone.model.named_modules())
    weights = copy.deepcopy(backbone.model.state_dict())
    attributes = set(vars(backbone.model))
    modules = modules_of(backbone, peft_of(method))
    with suppress(ZeroDivisionError), attached(modules, backbone=backbone):
        train(modules, backbone, steps=2)
        raise ZeroDivisionError
    assert torch.equal(hidden_states(backbone), before)
    assert dict(backbone.model.named_modules()) == parts
    assert list(backbone.model.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[name]) for name, value in backbone.model.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in backbone.model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts.values())
    assert set(vars(backbone.model)) == attributes


@TABLE
def test_building_does_not_touch_the_backbone(family: str, method: PeftMethod) -> None:
    """PiSSA and OLoRA take factors out of copies, not out of the resident weights."""
    backbone = tiny(family)
    weights = copy.deepcopy(backbone.model.state_dict())
    modules_of(backbone, peft_of(method))
    assert all(torch.equal(value, weights[name]) for name, value in backbone.model.state_dict().items())


@TABLE
def test_training_starts_from_the_backbone_as_it_is(family: str, method: PeftMethod) -> None:
    """Up to rounding where a float32 factorisation stands in between."""
    backbone = tiny(family)
    difference = (
        hidden_states(backbone, modules_of(backbone, peft_of(method))) - hidden_states(backbone)
    ).abs()
    if method in PROMPT_METHODS:
        assert difference.max() > 0.1
    else:
        assert difference.max() < (0.02 if method in START_ELSEWHERE else 1e-6)


@TABLE
def test_training_changes_the_output_and_lowers_the_loss(family: str, method: PeftMethod) -> None:
    """One step is seen in the hidden states; with the head fixed, twenty steps learn two texts."""
    backbone = tiny(family)
    modules = modules_of(backbone, peft_of(method))
    modules.head.requires_grad_(requires_grad=False)
    start = hidden_states(backbone, modules)
    with attached(modules, backbone=backbone):
        losses = train(modules, backbone, steps=1)
        assert (hidden_states(backbone) - start).abs().max() > 1e-6
        losses += train(modules, backbone, steps=20)
    assert losses[-1] < losses[0]


@TABLE
def test_every_trained_scalar_is_reached(family: str, method: PeftMethod) -> None:
    """Gradients in every trained tensor from the second step on; before it, a zero factor hides the other."""
    backbone = tiny(family)
    modules = modules_of(backbone, peft_of(method))
    with attached(modules, backbone=backbone):
        train(modules, backbone, steps=1)
        functional.cross_entropy(logits(modules, BATCH, backbone=backbone), BATCH.labels).backward()  # type: ignore[no-untyped-call]
    for name, parameter in modules.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


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
    assert counted == trainable_parameters(configuration, shape=backbone.shape, classes=2)


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
    backbone = tiny(family)
    modules = modules_of(backbone, peft_of(method))
    with attached(modules, backbone=backbone):
        train(modules, backbone, steps=3)
    loaded = modules_of(backbone, peft_of(method))
    loaded.load_state_dict(copy.deepcopy(modules.state_dict()))
    assert torch.equal(hidden_states(backbone, loaded), hidden_states(backbone, modules))


@TABLE
def test_trained_tensors_are_float32_over_a_bfloat16_backbone(family: str, method: PeftMethod) -> None:
    """The hidden states stay bfloat16, the trained tensors float32."""
    backbone = tiny(family)
    backbone.model.to(torch.bfloat16)
    modules = TrialModules(peft_of(method), backbone=backbone, classes=2, seed=1)
    with attached(modules, backbone=backbone):
        losses = train(modules, backbone, steps=10)
        assert hidden_states(backbone).dtype == torch.bfloat16
    assert {parameter.dtype for parameter in modules.parameters()} == {torch.float32}
    assert losses[-1] < losses[0]


@TABLE
def test_padding_does_not_matter(family: str, method: PeftMethod) -> None:
    """A text alone gets the same scores as in a batch with a longer one."""
    backbone = tiny(family)
    modules = modules_of(backbone, peft_of(method))
    alone = Batch(ids=IDS[1:, :3], mask=MASK[1:, :3], labels=BATCH.labels[1:])
    with attached(modules, backbone=backbone):
        train(modules, backbone, steps=2)
        together = logits(modules, BATCH, backbone=backbone)[1]
        single = logits(modules, alone, backbone=backbone)[0]
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
    if backbone.shape.model_type in CONV1D_FAMILIES:
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
    assert isinstance(modules.library, library.Library)
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
    assert isinstance(modules.library, library.Library)
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


def test_every_method_has_a_row_of_settings() -> None:
    """A method without one could not be made canonical."""
    assert set(SETTINGS) == set(PeftMethod)


def test_near_squares_are_those_of_the_library() -> None:
    """LoKr's split of a width, for every width up to 2000."""
    from peft.tuners.lokr.layer import factorization

    assert all(near_square(width) == factorization(width) for width in range(1, 2000))


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("method", [PeftMethod.LN_TUNING, PeftMethod.BITFIT])
def test_norms_and_biases_of_every_family_are_counted(family: str, method: PeftMethod) -> None:
    """A tiny model made from each family's own configuration has what the table of facts says."""
    backbone = tiny(family)
    if method_problem(method, shape=backbone.shape) is not None:
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
