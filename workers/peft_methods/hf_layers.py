"""The methods of HF `peft` on a resident backbone.

peft puts its layers into a *skeleton*: a module tree with the names of the backbone and nothing in
it but stand-ins for the targets. So building draws from the trial's seed alone, in float32 on the
CPU, whatever the backbone's precision and device, and never touches the backbone. Attaching puts
peft's layers in the places of the backbone's modules, which they call and do not own; detaching puts
the very same modules back.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from api_schemas.peft.fitness import problems
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import Peft
from workers.backbones.loading import Backbone
from workers.errors import UnsupportedBackbone

ADAPTER = "default"
"""peft's own name for the only adapter; it leaves it out of the names that it saves."""
FEATURES = "FEATURE_EXTRACTION"
"""The task under which `PeftModel.from_pretrained` gives hidden states, with prompts in front."""


@dataclass(frozen=True)
class Targets:
    """What a configuration of peft may need beside the settings of a trial.

    `names` are the full names of the modules to change, `feed_forward` those of them that close a
    feed-forward block. The seed draws what is random and stays frozen.
    """

    names: list[str]
    feed_forward: list[str]
    seed: int


def projections_at(peft: Peft, backbone: Backbone, layer: int) -> Iterable[nn.Module]:
    """Yield the chosen projections of a layer.

    Raises:
        UnsupportedBackbone: If one is not a plain linear map.
    """
    for role in peft.library.targets:
        projection = backbone.part(layer, role)
        if not isinstance(projection, nn.Linear):
            raise UnsupportedBackbone(
                f"{peft.method} needs a linear {role} projection; this backbone has none."
            )
        yield projection


def own_format(trained: "HfLayers") -> tuple[PeftConfig, dict[str, Tensor]]:
    """Return the configuration and the tensors as peft itself saves them."""
    return trained.configuration, get_peft_model_state_dict(trained.model, save_embedding_layers=False)


@dataclass(frozen=True)
class HfMethod:
    """How HF `peft` is asked for a method, and what the method needs that others do not."""

    configuration: Callable[[LibrarySettings, Targets], PeftConfig]
    """What is not set has peft's default."""
    targets_at: Callable[[Peft, Backbone, int], Iterable[nn.Module]] = projections_at
    """Yields the modules of a layer that the method changes."""
    copies_weights: bool = False
    """Whether building reads the frozen weights."""
    shared: tuple[str, ...] = ()
    """What peft's tuner owns and hangs into every layer as well."""
    prepare: Callable[[Any], None] = lambda _: None
    """Acts on each of peft's layers once it is built."""
    base_layer: Callable[[Any, nn.Module], nn.Module] = lambda _, original: original
    """Returns what a layer of peft calls in the place of the backbone's module."""
    after_step: Callable[[PeftModel, int, int], None] = lambda *_: None
    """Acts between two steps, given the step, counted from 1, and how many there are."""
    saved: Callable[["HfLayers"], tuple[PeftConfig, dict[str, Tensor]]] = own_format
    """Returns what `PeftModel.from_pretrained` loads."""


class HfLayers(nn.Module):
    """The tensors that a method of HF `peft` trains, in the layers of peft that use them."""

    def __init__(
        self, peft: Peft, *, method: HfMethod, backbone: Backbone, layers: list[int], seed: int
    ) -> None:
        super().__init__()
        self.method = method
        targets = target_modules(peft, method=method, backbone=backbone, layers=layers)
        feed_forward = [name for name in targets if name.endswith(f".{backbone.paths.ffn_out}")]
        self.configuration = method.configuration(
            peft.library, Targets(sorted(targets), sorted(feed_forward), seed)
        )
        self.configuration.task_type = FEATURES
        self.configuration.base_model_name_or_path = backbone.hub_repository
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # peft warns of every norm, which is what it is asked to train.
            warnings.filterwarnings("ignore", message="Unsupported layer type", category=UserWarning)
            skeleton = _skeleton(targets, copied=method.copies_weights)
            torch.default_generator.manual_seed(seed)
            # peft shortens the names of targets to what is unique in the skeleton; ours stay whole.
            self.model = PeftModel(skeleton, copy.deepcopy(self.configuration)).eval()
        for layer in self.peft_layers().values():
            _disown(layer, method.shared)
            method.prepare(layer)

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
                _lend(layer, "base_layer", self.method.base_layer(layer, original))
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


def target_modules(
    peft: Peft, *, method: HfMethod, backbone: Backbone, layers: list[int]
) -> Mapping[str, nn.Module]:
    """Return the modules that a method changes, by full name.

    Raises:
        UnsupportedBackbone: If a target is not a plain linear projection, or a layer has no norm.
    """
    names = {module: name for name, module in backbone.model.named_modules()}
    found = {names[target]: target for layer in layers for target in method.targets_at(peft, backbone, layer)}
    if not found:
        raise UnsupportedBackbone(f"{peft.method} finds nothing to change in the active layers.")
    return found


def build(peft: Peft, *, method: HfMethod, backbone: Backbone, layers: list[int], seed: int) -> HfLayers:
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
    return HfLayers(peft, method=method, backbone=backbone, layers=layers, seed=seed)


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
        return linear(weight, None)
    empty = nn.Linear(target.in_features, target.out_features, device="meta")
    return empty.to_empty(device="cpu")


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a frozen linear map of these tensors."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    made.weight = nn.Parameter(weight, requires_grad=False)
    made.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
    return made


def _disown(layer: Any, shared: tuple[str, ...]) -> None:
    """Leave a layer the tensors that are its own; what it only calls stays out of its state."""
    for name in ("base_layer", *shared):
        if name in layer._modules:
            _lend(layer, name, layer._modules.pop(name))
    _lend(layer, "base_layer", None)


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
