"""Full and partial fine-tuning: the backbone's own weights, from the lowest active layer on.

What is trained is a copy in float32, under the names that the weights have in the backbone. While it is
attached, each module computes with the copy, in the precision of the backbone; the backbone keeps its
weights, which other trials share.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from api_schemas.model_families import FAMILIES
from workers.backbones.loading import Backbone
from workers.errors import UnsupportedBackbone

NEVER_READ = "pooler"
"""A part of some backbones behind the last layer; what is trained here reads the layer itself."""


@dataclass(frozen=True)
class WeightsMethod:
    """A method that trains the backbone's own weights."""


METHOD = WeightsMethod()


class OwnWeights(nn.Module):
    """Trained copies of some of a backbone's weights."""

    def __init__(self, backbone: Backbone, *, first_layer: int) -> None:
        super().__init__()
        for name, weight in trained_weights(backbone, first_layer=first_layer).items():
            node: nn.Module = self
            *parents, last = name.split(".")
            for parent in parents:
                if parent not in node._modules:
                    node.add_module(parent, nn.Module())
                node = node.get_submodule(parent)
            dtype = torch.promote_types(weight.dtype, torch.float32)
            node.register_parameter(last, nn.Parameter(weight.detach().to(dtype, copy=True)))

    @contextmanager
    def attached(self, backbone: Backbone) -> Iterator[None]:
        """Let the backbone compute with the copies for the length of a block."""
        places = _places(backbone.model)
        copies = [
            (place, copy, backbone.model.get_parameter(name).dtype)
            for name, copy in self.named_parameters()
            for place in places[backbone.model.get_parameter(name)]
        ]

        def put_in(*_: Any) -> None:
            # Before each pass: a copy has moved since the last one, and so has what is cast from it.
            for (module, attribute), copy, dtype in copies:
                # An attribute goes before a parameter of the same name, and torch does not see it.
                object.__setattr__(module, attribute, copy.to(dtype))

        handle = backbone.model.register_forward_pre_hook(put_in)
        try:
            yield
        finally:
            handle.remove()
            for (module, attribute), _, _ in copies:
                vars(module).pop(attribute, None)


def build(backbone: Backbone, *, first_layer: int) -> OwnWeights:
    """Copy what is trained, in the place where the backbone is.

    Raises:
        UnsupportedBackbone: If its weights are quantised.
    """
    if getattr(backbone.model, "is_quantized", False):
        raise UnsupportedBackbone(
            f"Fine-tuning trains the weights themselves, and those of '{backbone.name}' are quantised. "
            "Take the whole weights, or another method."
        )
    return OwnWeights(backbone, first_layer=first_layer)


def trained_weights(backbone: Backbone, *, first_layer: int) -> dict[str, nn.Parameter]:
    """Return the weights from a layer on by their names in the backbone; from layer 0 all but a pooler."""
    named = dict(backbone.model.named_parameters())
    if first_layer > 0:
        final = FAMILIES[backbone.shape.model_type].final_norm
        parts = [*backbone.layers[first_layer:], *([backbone.model.get_submodule(final)] if final else [])]
        above = {parameter for part in parts for parameter in part.parameters()}
        named = {name: parameter for name, parameter in named.items() if parameter in above}
    return {name: weight for name, weight in named.items() if NEVER_READ not in name.split(".")}


def count(backbone: Backbone, *, first_layer: int) -> int:
    """Return how many scalars are trained, before any of them is copied."""
    return sum(weight.numel() for weight in trained_weights(backbone, first_layer=first_layer).values())


def _places(model: nn.Module) -> dict[Tensor, list[tuple[nn.Module, str]]]:
    """Return every module and attribute that holds a weight: tied weights stand in several."""
    found: dict[Tensor, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, weight in module._parameters.items():
            if weight is not None:
                found.setdefault(weight, []).append((module, attribute))
    return found
