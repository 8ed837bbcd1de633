"""Prefix tuning: attention(Q, [P_k; K], [P_v; V]) with trained P_k and P_v of some length per layer.

Li and Liang 2021 (arXiv 2101.00190), without the reparametrisation network: what is trained is what
is saved. The prefix takes no positions: it comes after any rotary embedding, and its relative position
bias is zero. Under grouped-query attention it has one row per key-value head.

`prefix_injection` puts it into an attention.
"""

import torch
from torch import Generator, nn

from workers.peft_methods.place import Place
from workers.peft_methods.prefix_injection import (
    Handle,
    inject_via_cache,
    inject_via_projections,
    takes_a_cache,
)

INITIAL_DEVIATION = 0.02


class Prefix(nn.Module):
    """Trained keys and values, `length` rows of the key-value width each."""

    def __init__(self, length: int, key_value_size: int, *, generator: Generator) -> None:
        super().__init__()
        self.key = nn.Parameter(torch.empty(length, key_value_size))
        self.value = nn.Parameter(torch.empty(length, key_value_size))
        with torch.no_grad():
            self.key.normal_(0.0, INITIAL_DEVIATION, generator=generator)
            self.value.normal_(0.0, INITIAL_DEVIATION, generator=generator)


def build(place: Place) -> nn.Module | None:
    """Make the module of one layer, or None if its length is zero."""
    length = place.peft.prefix_tuning.size_at(place.layer)
    if not length:
        return None
    return Prefix(length, place.backbone.shape.key_value_size, generator=place.generator)


def attach(module: nn.Module, place: Place) -> list[Handle]:
    """Put the prefix in front of the keys and values of one layer."""
    assert isinstance(module, Prefix)  # noqa: S101  what `build` made
    inject = inject_via_cache if takes_a_cache(place.part("attention")) else inject_via_projections
    return inject(module.key, module.value, backbone=place.backbone, layer=place.layer)
