"""The methods of HF `peft` on a resident backbone.

peft puts its layers into a *skeleton*: a module tree with the names of the backbone and nothing in
it but stand-ins for the targets. So building draws from the trial's seed alone, in float32 on the
CPU, whatever the backbone's precision and device, and never touches the backbone. Attaching puts
peft's layers in the places of the backbone's modules, which they call and do not own; detaching puts
the very same modules back.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.boft import layer as boft_layer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from api_schemas.peft.fitness import problems
from api_schemas.peft.registry import Peft, PeftMethod
from workers.backbones.loading import Backbone
from workers.errors import UnsupportedBackbone
from workers.peft_methods.library_configurations import ADAPTER, allocation_schedule, peft_configuration

SHARED = ("vera_A", "vera_B", "randlora_A", "randlora_B", "vblora_vector_bank")
"""What peft's tuner owns and hangs into every layer as well."""
SUBTRACTED = frozenset({PeftMethod.PISSA, PeftMethod.OLORA})
"""Methods that start from factors of the weight and take those out of it: W - s B0 A0 + s B A."""
LAYER_METHODS = {method for method in PeftMethod if method.definition.is_targeted} | {PeftMethod.LN_TUNING}
"""Methods whose layers stand in for modules of the backbone."""
READ_WEIGHTS = SUBTRACTED | {PeftMethod.DORA}

# peft would compile a CUDA extension in the middle of a trial; it speeds up butterflies, and ours has none.
boft_layer._FBD_CUDA = False


class Library(nn.Module):
    """The tensors that a method of HF `peft` trains, in the layers of peft that use them."""

    def __init__(self, peft: Peft, *, backbone: Backbone, layers: list[int], seed: int) -> None:
        super().__init__()
        self.method = peft.method
        targets = target_modules(peft, backbone=backbone, layers=layers)
        self.configuration = peft_configuration(
            peft.method,
            peft.library,
            targets=targets,
            feed_forward=[name for name in targets if name.endswith(f".{backbone.paths.ffn_out}")],
            backbone=backbone.name,
            seed=seed,
        )
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # peft says so of every norm, which is what it is asked to train.
            warnings.filterwarnings("ignore", message="Unsupported layer type", category=UserWarning)
            skeleton = _skeleton(targets, copied=peft.method in READ_WEIGHTS)
            torch.default_generator.manual_seed(seed)
            # peft shortens the names of targets to what is unique in the skeleton; ours stay whole.
            self.model = PeftModel(skeleton, copy.deepcopy(self.configuration)).eval()
        for layer in self.peft_layers().values():
            _disown(layer)
            if peft.method in SUBTRACTED:
                for factor in ("A", "B"):
                    start = getattr(layer, f"lora_{factor}")[ADAPTER].weight.detach().clone()
                    layer.register_buffer(f"initial_{factor}", start.contiguous())

    def peft_layers(self) -> dict[str, Any]:
        """Return peft's layers by the full name of the module that each stands for."""
        tree = self.model.base_model.model
        return {name: part for name, part in tree.named_modules() if isinstance(part, BaseTunerLayer)}

    @contextmanager
    def attached(self, backbone: Backbone) -> Iterator[None]:
        """Put peft's layers in the places of their targets for the length of a block."""
        handles: list[RemovableHandle] = []
        replaced: list[tuple[nn.Module, str, nn.Module]] = []
        try:
            for name, layer in self.peft_layers().items():
                parent_name, _, child = name.rpartition(".")
                parent = backbone.model.get_submodule(parent_name)
                original = parent.get_submodule(child)
                _lend(layer, "base_layer", self._base_layer(layer, original))
                handles.extend(_in_the_precision_of_the_input(layer))
                replaced.append((parent, child, original))
                parent.add_module(child, layer)
            yield
        finally:
            for parent, child, original in replaced:
                parent.add_module(child, original)
            for handle in handles:
                handle.remove()
            for layer in self.peft_layers().values():
                _lend(layer, "base_layer", None)

    def after_step(self, step: int, total_steps: int) -> None:
        """Let AdaLoRA move rank between the projections. Steps count from 1; gradients are still there."""
        if self.method is not PeftMethod.ADALORA or total_steps < 2:
            return
        configuration = self.model.peft_config[ADAPTER]
        configuration.total_step = total_steps
        configuration.tinit, configuration.tfinal = allocation_schedule(total_steps)
        self.model.base_model.update_and_allocate(step)

    def _base_layer(self, layer: Any, original: nn.Module) -> nn.Module:
        if self.method not in SUBTRACTED:
            return original
        assert isinstance(original, nn.Linear)  # noqa: S101  what `target_modules` allowed
        product = layer.scaling[ADAPTER] * layer.initial_B @ layer.initial_A
        rest = (original.weight.detach() - product).to(original.weight.dtype)
        return _linear(rest, original.bias)


def target_modules(peft: Peft, *, backbone: Backbone, layers: list[int]) -> Mapping[str, nn.Module]:
    """Find the modules that a method changes, by full name.

    Raises:
        UnsupportedBackbone: If a target is not a plain linear projection, or a layer has no norm.
    """
    names = {module: name for name, module in backbone.model.named_modules()}
    found: dict[str, nn.Module] = {}
    for layer in layers:
        if peft.method is PeftMethod.LN_TUNING:
            norms = [part for part in backbone.layers[layer].modules() if _is_norm(part)]
            found |= {names[norm]: norm for norm in norms}
            continue
        for role in peft.library.targets:
            projection = backbone.part(layer, role)
            if not isinstance(projection, nn.Linear):
                raise UnsupportedBackbone(
                    f"{peft.method} needs a linear {role} projection; this backbone has none."
                )
            found[names[projection]] = projection
    if not found:
        raise UnsupportedBackbone(f"{peft.method} finds nothing to change in the active layers.")
    return found


def build(peft: Peft, *, backbone: Backbone, layers: list[int], seed: int) -> Library:
    """Make what a method trains on the given layers.

    Raises:
        UnsupportedBackbone: If the backbone has no place for it, or a size does not fit its widths.
    """
    for problem in problems(peft.method.definition, peft.library, shape=backbone.shape, max_length=1):
        raise UnsupportedBackbone(f"{peft.method}: {problem}.")
    if peft.method.definition.reads_frozen_weights and getattr(backbone.model, "is_quantized", False):
        raise UnsupportedBackbone(
            f"{peft.method} computes with the frozen weights, and those of '{backbone.name}' are quantised. "
            "Take the whole weights, or another method."
        )
    return Library(peft, backbone=backbone, layers=layers, seed=seed)


def _skeleton(targets: Mapping[str, nn.Module], *, copied: bool) -> nn.Module:
    root = nn.Module()
    for name, target in targets.items():
        node = root
        *parents, last = name.split(".")
        for parent in parents:
            if parent not in node._modules:
                node.add_module(parent, nn.Module())
            node = node.get_submodule(parent)
        node.add_module(last, _stand_in(target, copied=copied))
    return root


def _stand_in(target: nn.Module, *, copied: bool) -> nn.Module:
    if not isinstance(target, nn.Linear):
        return copy.deepcopy(target).to("cpu", torch.float32)
    if copied:
        # A copy, because peft writes the rest of the factored weight into what it gets.
        weight = target.weight.detach().to("cpu", torch.float32, copy=True)
        return _linear(weight, None)
    empty = nn.Linear(target.in_features, target.out_features, device="meta")
    return empty.to_empty(device="cpu")


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    linear.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
    return linear


def _disown(layer: Any) -> None:
    """Leave a layer the tensors that are its own; what it only calls stays out of its state."""
    for name in ("base_layer", *SHARED):
        if name in layer._modules:
            _lend(layer, name, layer._modules.pop(name))
    _lend(layer, "base_layer", None)
    if "ranknum" in layer._modules:
        # A constant that AdaLoRA keeps as a parameter; it would count as trained.
        layer.ranknum = BufferDict(
            {name: rank.detach() for name, rank in layer.ranknum.items()}, persistent=False
        )


def _lend(layer: nn.Module, name: str, module: nn.Module | None) -> None:
    """Let a layer call a module that it does not own: an attribute that torch does not see."""
    object.__setattr__(layer, name, module)


def _in_the_precision_of_the_input(layer: Any) -> list[RemovableHandle]:
    """Let trained float32 tensors work in the middle of a backbone of another precision."""

    def back(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.to(arguments[0].dtype)

    def there(norm: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (arguments[0].to(next(norm.parameters()).dtype), *arguments[1:])

    handles = [layer.register_forward_hook(back)]
    if hasattr(layer, "ln_tuning_layers"):
        handles.append(layer.ln_tuning_layers[ADAPTER].register_forward_pre_hook(there))
    return handles


def _is_norm(module: nn.Module) -> bool:
    """Tell norms by their class: transformers names each family's own, LayerNorm or RMSNorm at the end."""
    return type(module).__name__.endswith(("LayerNorm", "RMSNorm"))
