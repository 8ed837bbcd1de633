"""BitFit: every bias of the active layers is trained. Ben Zaken and others 2022 (arXiv 2106.10199).

What is trained is the change of each bias, added to the output of its linear map or norm; the
backbone keeps its weights. Changes start at zero.
"""

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from workers.errors import UnsupportedBackbone
from workers.peft_methods.place import Place


def build(place: Place) -> nn.Module | None:
    """Make the changes of one layer.

    Raises:
        UnsupportedBackbone: If its layers have no biases.
    """
    sizes = {name: len(bias) for name, bias in biases(place.backbone.layers[place.layer]).items()}
    if not sizes:
        raise UnsupportedBackbone("BitFit trains biases; the layers of this backbone have none.")
    return nn.ParameterDict({_key(name): nn.Parameter(torch.zeros(size)) for name, size in sizes.items()})


def attach(module: nn.Module, place: Place) -> list[RemovableHandle]:
    """Add each change to the output of the module whose bias it changes."""
    assert isinstance(module, nn.ParameterDict)  # noqa: S101  what `build` made
    layer = place.backbone.layers[place.layer]

    def add_to(name: str) -> RemovableHandle:
        change = module[_key(name)]

        def add(_: nn.Module, __: tuple[Tensor, ...], y: Tensor) -> Tensor:
            changed: Tensor = y + change.to(y.dtype)
            return changed

        return layer.get_submodule(name).register_forward_hook(add)

    return [add_to(name) for name in biases(layer)]


def biases(layer: nn.Module) -> dict[str, Tensor]:
    """Return the biases of a layer by the name of their module."""
    return {
        name: part.bias
        for name, part in layer.named_modules()
        if isinstance(getattr(part, "bias", None), Tensor)
    }


def named_changes(module: nn.Module) -> dict[str, Tensor]:
    """Return the trained change of each bias of a layer by the name of its module."""
    return {_module_name(key): change for key, change in module.named_parameters()}


def _key(name: str) -> str:
    # Parameter names hold no dots.
    return name.replace(".", "/")


def _module_name(key: str) -> str:
    return key.replace("/", ".")
