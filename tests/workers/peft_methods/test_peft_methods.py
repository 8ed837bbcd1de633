"""Each method against a plain reference, and the promises that all of them keep."""

import copy
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from api_schemas.peft.counts import adapter_flops, trainable_parameters
from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import TrialConfiguration
from tests.workers.conftest import KINDS, QUICK, every_kind, tiny
from workers.backbones.loading import Backbone
from workers.data.task_data import Batch
from workers.errors import UnsupportedBackbone
from workers.peft_methods import TrialModules, attached, logits
from workers.peft_methods.place import Place
from workers.peft_methods.prefix_injection import takes_a_cache

IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
MASK = (IDS != 0).long()
BATCH = Batch(ids=IDS, mask=MASK, labels=torch.tensor([0, 1]))

SERIAL = {"serial_adapter": {"bottleneck_size": 3}}
PARALLEL = {"parallel_adapter": {"bottleneck_size": 5, "scaling": 4.0}}
PREFIX = {"prefix_tuning": {"length": 2}}
LORA = {
    "lora": {"rank": 2, "alpha": 8.0, "key": True, "attention_output": True, "ffn_in": True, "ffn_out": True}
}
COMPACTER = {"compacter": {"bottleneck_size": 8, "division": 2}}
SCALE_SHIFT = {"scale_shift": {"on": True}}
BY_LAYER = {
    "serial_adapter": {"by_layer": [3, 0, 2]},
    "parallel_adapter": {"by_layer": [0, 4, 2]},
    "prefix_tuning": {"by_layer": [1, 0, 3]},
    "lora": {"by_layer": [{"query": 2}, {"query": 1, "ffn_in": 3}, {}]},
    "compacter": {"by_layer": [0, 0, 4], "division": 2},
    "scale_shift": {"by_layer": [False, False, True]},
}
ADAPTERS = {**SERIAL, **PARALLEL, **LORA, **COMPACTER}
EVERYTHING = {**SERIAL, **PARALLEL, **PREFIX, **LORA, **COMPACTER, **SCALE_SHIFT}
METHODS = [SERIAL, PARALLEL, PREFIX, LORA, COMPACTER, SCALE_SHIFT, BY_LAYER, EVERYTHING]
ROLES = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
# T5 and RMSNorm compute their variance in single precision whatever the weights are.
ATOL = 1e-6
LAYERS = {"active_layers": [True, False, True]}


def modules_for(backbone: Backbone, peft: dict[str, object], *, trained: bool = True) -> TrialModules:
    """Modules as training would leave them: every tensor away from its starting value."""
    modules = TrialModules(Peft.model_validate(peft), backbone=backbone, classes=2, seed=1).double()
    if trained:
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in modules.parameters():
                parameter.normal_(0.0, 0.5, generator=generator)
    return modules


def hidden_states(backbone: Backbone, modules: TrialModules | None = None) -> Tensor:
    if modules is None:
        found: Tensor = backbone.model(input_ids=IDS, attention_mask=MASK, use_cache=False).last_hidden_state
        return found
    with attached(modules, backbone=backbone):
        return hidden_states(backbone)


def real_tokens(hidden: Tensor) -> Tensor:
    return hidden[MASK.bool()]


def sampled(
    pefts: list[dict[str, object]], *, elsewhere: list[dict[str, object]], on: tuple[str, ...] = QUICK
) -> pytest.MarkDecorator:
    """Each of `pefts` on a few networks, those of `elsewhere` on all others; the rest is nightly."""
    return pytest.mark.parametrize(
        ("backbone", "peft"),
        [
            pytest.param(kind, peft, marks=[] if kind in on or peft in elsewhere else [pytest.mark.nightly])
            for kind in KINDS
            for peft in pefts
        ],
        indirect=["backbone"],
    )


@pytest.mark.parametrize("peft", METHODS)
def test_layers_that_are_off_carry_nothing(backbone: Backbone, peft: dict[str, object]) -> None:
    """With every layer off the network is the backbone, bit for bit."""
    modules = modules_for(backbone, {**peft, "active_layers": [False] * 3})
    assert torch.equal(hidden_states(backbone, modules), hidden_states(backbone))


@pytest.mark.parametrize("peft", METHODS)
def test_every_method_changes_the_output(backbone: Backbone, peft: dict[str, object]) -> None:
    """A hook that is never called would leave the output as it was."""
    difference = real_tokens(hidden_states(backbone, modules_for(backbone, {**peft, **LAYERS})))
    assert (difference - real_tokens(hidden_states(backbone))).abs().max() > 1e-3


@pytest.mark.parametrize("peft", [SERIAL, PARALLEL, LORA, COMPACTER, SCALE_SHIFT])
def test_training_starts_from_the_backbone_as_it_is(backbone: Backbone, peft: dict[str, object]) -> None:
    """Adapters and low-rank updates add exactly zero at first."""
    modules = modules_for(backbone, {**peft, **LAYERS}, trained=False)
    assert torch.allclose(hidden_states(backbone, modules), hidden_states(backbone), atol=1e-12, rtol=0)


@every_kind
def test_detaching_leaves_no_trace(backbone: Backbone) -> None:
    """Outputs and weights are bit-equal afterwards, also when the block raised; no hook is left."""
    before = hidden_states(backbone)
    weights = copy.deepcopy(backbone.model.state_dict())
    attributes = [set(vars(module)) for module in backbone.model.modules()]
    modules = modules_for(backbone, {**EVERYTHING, **LAYERS})
    with suppress(ZeroDivisionError), attached(modules, backbone=backbone):
        logits(modules, BATCH, backbone=backbone).sum().backward()  # type: ignore[no-untyped-call]
        raise ZeroDivisionError
    assert torch.equal(hidden_states(backbone), before)
    assert all(torch.equal(value, weights[name]) for name, value in backbone.model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.model.modules())
    assert [set(vars(module)) for module in backbone.model.modules()] == attributes


@sampled([{}, *METHODS], elsewhere=[EVERYTHING])
@pytest.mark.parametrize("layers", [[True, True, True], [False, True, False], None])
def test_the_known_cost_is_the_number_of_trained_scalars(
    backbone: Backbone, peft: dict[str, object], layers: list[bool] | None
) -> None:
    """Formula and tensors agree, for equal and for grouped key-value heads."""
    configuration = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": {**peft, "active_layers": layers}}
    )
    modules = TrialModules(configuration.peft, backbone=backbone, classes=2, seed=0)
    counted = sum(parameter.numel() for parameter in modules.parameters())
    assert counted == trainable_parameters(configuration, shape=backbone.shape, classes=2)


def flops_of_a_token(backbone: Backbone, modules: TrialModules | None) -> float:
    """Counted by torch: what two more rows of text cost, by the tokens in them."""
    return (counted_flops(backbone, modules, rows=4) - counted_flops(backbone, modules, rows=2)) / (
        2 * IDS.shape[1]
    )


def counted_flops(backbone: Backbone, modules: TrialModules | None, *, rows: int) -> int:
    ids = IDS[:1].repeat(rows, 1)
    counter = FlopCounterMode(display=False)
    hooks = nullcontext() if modules is None else attached(modules, backbone=backbone)
    # Written out as products: fused attention on a CPU is not counted.
    with hooks, counter, sdpa_kernel(SDPBackend.MATH):
        backbone.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return counter.get_total_flops()


@cache
def flops_without_modules(kind: str) -> float:
    return flops_of_a_token(tiny(kind), None)


@sampled([SERIAL, PARALLEL, PREFIX, LORA, COMPACTER, ADAPTERS], elsewhere=[ADAPTERS], on=("bert", "llama"))
def test_the_known_operations_are_those_that_are_run(backbone: Backbone, peft: dict[str, object]) -> None:
    """What torch counts with the modules and without is what the formula says.

    Where a prefix has to enter through the projections, the attention runs over more than its formula.
    """
    at_least = "prefix_tuning" in peft and not takes_a_cache(
        Place(Peft(), backbone, 0, torch.Generator(), nn.ModuleDict()).part("attention")
    )
    configuration = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": {**peft, **LAYERS}}
    )
    modules = modules_for(backbone, {**peft, **LAYERS})
    counted = flops_of_a_token(backbone, modules) - flops_without_modules(backbone.name)
    known = adapter_flops(configuration, shape=backbone.shape)
    assert counted == pytest.approx(known, rel=1e-9) or (at_least and known is not None and counted > known)


@sampled(METHODS, elsewhere=[EVERYTHING])
def test_every_trained_scalar_gets_a_gradient_and_nothing_else_does(
    backbone: Backbone, peft: dict[str, object]
) -> None:
    """What is counted is what is trained; the backbone stays frozen."""
    modules = modules_for(backbone, {**peft, **LAYERS})
    with attached(modules, backbone=backbone):
        functional.cross_entropy(logits(modules, BATCH, backbone=backbone), BATCH.labels).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in modules.parameters())
    assert all(p.grad is None for p in backbone.model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_float32_modules_train_on_a_bfloat16_backbone(kind: str) -> None:
    """The arithmetic follows the frozen part; values and gradients of what is trained stay float32."""
    backbone = tiny(kind)
    modules = modules_for(backbone, {**EVERYTHING, **LAYERS}).float()
    backbone.model.bfloat16()
    with attached(modules, backbone=backbone):
        loss = functional.cross_entropy(logits(modules, BATCH, backbone=backbone), BATCH.labels)
        loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in modules.parameters())


@sampled([PREFIX, EVERYTHING], elsewhere=[EVERYTHING])
def test_padding_does_not_matter(backbone: Backbone, peft: dict[str, object]) -> None:
    """A text alone, without padding and without a mask of zeros, gets the same scores as in a batch."""
    modules = modules_for(backbone, {**peft, **LAYERS})
    alone = Batch(ids=IDS[1:, :3], mask=MASK[1:, :3], labels=BATCH.labels[1:])
    with attached(modules, backbone=backbone):
        together = logits(modules, BATCH, backbone=backbone)[1]
        single = logits(modules, alone, backbone=backbone)[0]
    assert torch.allclose(together, single, atol=1e-6)


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return self.change(x, y)


class Recorded(nn.Module):
    def __init__(self, inner: nn.Module, inputs: list[Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        self.inputs.append(x)
        y: Tensor = self.inner(x)
        return y


def bottleneck(modules: TrialModules, method: str, x: Tensor) -> Tensor:
    found = modules.state_dict()
    prefix = f"layers.1.{method}"
    inner = torch.relu(x @ found[f"{prefix}.down.weight"].T + found[f"{prefix}.down.bias"])
    return inner @ found[f"{prefix}.up.weight"].T + found[f"{prefix}.up.bias"]


ONE_LAYER = {"active_layers": [False, True, False]}


def replace_module(backbone: Backbone, role: str, build: Callable[[nn.Module], nn.Module]) -> None:
    parent, _, name = getattr(backbone.paths, role).rpartition(".")
    place = backbone.layers[1].get_submodule(parent)
    setattr(place, name, build(place.get_submodule(name)))


@every_kind
def test_the_serial_adapter_is_its_formula(backbone: Backbone) -> None:
    """Y + up(relu(down(y))) behind the feed-forward block."""
    modules = modules_for(backbone, {**SERIAL, **ONE_LAYER})
    reference = copy.deepcopy(backbone)
    replace_module(
        reference,
        "ffn_output",
        lambda inner: Wrapped(inner, lambda _, y: y + bottleneck(modules, "serial_adapter", y)),
    )
    assert torch.allclose(hidden_states(backbone, modules), hidden_states(reference), atol=ATOL)


@every_kind
def test_the_parallel_adapter_is_its_formula(backbone: Backbone) -> None:
    """Y + 4 up(relu(down(x))) beside the block, whether the block is one module or two in a row."""
    modules = modules_for(backbone, {**PARALLEL, **ONE_LAYER})
    reference = copy.deepcopy(backbone)
    inputs: list[Tensor] = []

    def change(_: Tensor, y: Tensor) -> Tensor:
        return y + 4 * bottleneck(modules, "parallel_adapter", inputs.pop())

    replace_module(reference, "ffn_output", lambda inner: Wrapped(inner, change))
    replace_module(reference, "ffn_input", lambda inner: Recorded(inner, inputs))
    assert torch.allclose(hidden_states(backbone, modules), hidden_states(reference), atol=ATOL)


def test_the_parallel_adapter_reads_the_input_of_the_whole_block(bert: Backbone) -> None:
    """On BERT the block is two modules; the adapter goes around both."""
    modules = modules_for(bert, {**PARALLEL, **ONE_LAYER})
    other = copy.deepcopy(bert)
    layer = other.layers[1]

    def feed_forward(x: Tensor) -> Tensor:
        y = layer.output.dense(layer.intermediate(x)) + 4 * bottleneck(modules, "parallel_adapter", x)
        normed: Tensor = layer.output.LayerNorm(y + x)
        return normed

    layer.feed_forward_chunk = feed_forward  # type: ignore[assignment]
    assert torch.allclose(hidden_states(bert, modules), hidden_states(other), atol=ATOL)


def test_the_compacter_is_its_formula(backbone: Backbone) -> None:
    """Kronecker products written out with torch.kron, behind the feed-forward block."""
    modules = modules_for(backbone, {**COMPACTER, **ONE_LAYER})
    found = modules.state_dict()
    rule = found["shared.compacter.A"]

    def weight(part: str) -> Tensor:
        s, t = found[f"layers.1.compacter.{part}.s"], found[f"layers.1.compacter.{part}.t"]
        return sum((torch.kron(rule[i], s[i] @ t[i]) for i in range(2)), torch.zeros(()))

    def change(_: Tensor, y: Tensor) -> Tensor:
        inner = torch.relu(y @ weight("down") + found["layers.1.compacter.down.bias"])
        return y + inner @ weight("up") + found["layers.1.compacter.up.bias"]

    reference = copy.deepcopy(backbone)
    replace_module(reference, "ffn_output", lambda inner: Wrapped(inner, change))
    assert torch.allclose(hidden_states(backbone, modules), hidden_states(reference), atol=ATOL)


@pytest.mark.parametrize("role", ["query", "attention_output", "ffn_in"])
def test_scale_and_shift_is_its_formula(backbone: Backbone, role: str) -> None:
    """Gamma * y + beta, written into a projection; the other five are left at one and zero."""
    modules = modules_for(backbone, {**SCALE_SHIFT, **ONE_LAYER}, trained=False)
    own = modules.get_submodule(f"layers.1.scale_shift.{role}")
    gamma, beta = own.get_parameter("gamma"), own.get_parameter("beta")
    with torch.no_grad():
        gamma.normal_(1.0, 0.5)
        beta.normal_(0.0, 0.5)
    start = backbone.projection(1, role).start

    def change(_: Tensor, y: Tensor) -> Tensor:
        before, inside, after = y.tensor_split([start, start + len(gamma)], dim=-1)
        return torch.cat([before, inside * gamma + beta, after], dim=-1)

    reference = copy.deepcopy(backbone)
    replace_module(reference, role, lambda inner: Wrapped(inner, change))
    assert torch.allclose(hidden_states(backbone, modules), hidden_states(reference), atol=ATOL)


def test_a_size_by_layer_equals_that_size_in_one_layer(bert: Backbone) -> None:
    """A list with one entry is the module in that layer alone, tensor by tensor."""
    listed = modules_for(bert, {"serial_adapter": {"by_layer": [0, 3, 0]}}, trained=False).state_dict()
    alone = modules_for(bert, {**SERIAL, **ONE_LAYER}, trained=False).state_dict()
    assert listed.keys() == alone.keys()
    assert all(torch.equal(listed[name], alone[name]) for name in alone)


def test_a_division_that_does_not_fit_is_refused(bert: Backbone) -> None:
    """The error names both widths."""
    with pytest.raises(UnsupportedBackbone, match="hidden size 16"):
        modules_for(bert, {"compacter": {"bottleneck_size": 3, "division": 2}})


def assert_lora_equals_merged_weights(backbone: Backbone, roles: tuple[str, ...]) -> None:
    on = {role: role in roles for role in ROLES}
    modules = modules_for(backbone, {"lora": {"rank": 2, "alpha": 6.0, **on}, **ONE_LAYER})
    other = copy.deepcopy(backbone)
    found = modules.state_dict()
    with torch.no_grad():
        for role in roles:
            update = found[f"layers.1.lora.{role}.B"] @ found[f"layers.1.lora.{role}.A"]
            other.projection(1, role).weight.add_(3.0 * update)
    assert torch.allclose(hidden_states(backbone, modules), hidden_states(other), atol=ATOL)


@every_kind
def test_lora_equals_merged_weights(backbone: Backbone) -> None:
    """W + alpha / rank B A, written into the weights themselves, or into the columns that roles share."""
    assert_lora_equals_merged_weights(backbone, ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_lora_in_one_role_leaves_the_others(backbone: Backbone, role: str) -> None:
    """The update of one projection is nowhere else."""
    assert_lora_equals_merged_weights(backbone, (role,))


def test_equal_seeds_give_equal_modules_whatever_the_global_state(bert: Backbone) -> None:
    """Initial values come from the trial's own generator, which leaves the global one alone."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    peft = Peft.model_validate({**EVERYTHING, **LAYERS})
    first = TrialModules(peft, backbone=bert, classes=2, seed=7).state_dict()
    torch.manual_seed(2)
    second = TrialModules(peft, backbone=bert, classes=2, seed=7).state_dict()
    other = TrialModules(peft, backbone=bert, classes=2, seed=8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert before.shape == torch.get_rng_state().shape
