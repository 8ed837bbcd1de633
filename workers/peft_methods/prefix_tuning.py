"""Prefix tuning: attention(Q, [P_k; K], [P_v; V]) with trained P_k and P_v of some length per layer.

Li and Liang 2021 (arXiv 2101.00190), without the reparametrisation network: what is trained is what
is saved. The prefix enters where a key-value cache would, after any rotary embedding, so it takes no
positions; under grouped-query attention it has one row per key-value head.
"""

import inspect
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from workers.peft_methods.place import Place

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


class PrefixCache:
    """Stands where transformers expects a key-value cache and puts the prefix in front."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix

    def update(
        self, keys: Float[Tensor, "n g t c"], values: Float[Tensor, "n g t c"], *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Give keys and values with the prefix in front."""
        return _in_front(self.prefix.key, keys), _in_front(self.prefix.value, values)


def build(place: Place) -> nn.Module | None:
    """Make the module of one layer, or None if its length is zero."""
    length = place.peft.prefix_tuning.size_at(place.layer)
    if not length:
        return None
    return Prefix(length, place.backbone.shape.key_value_size, generator=place.generator)


def attach(module: nn.Module, place: Place) -> list[RemovableHandle]:
    """Hand the attention of one layer a cache with the prefix, and a mask that lets it be seen."""
    attention = place.part("attention")
    signature = inspect.signature(attention.forward)
    assert isinstance(module, Prefix)  # noqa: S101  what `build` made
    cache = PrefixCache(module)
    length = len(module.key)

    def hand_over(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        bound = signature.bind_partial(*arguments, **named)
        mask = bound.arguments.get("attention_mask")
        if mask is None and getattr(attention, "is_causal", False):
            # Without a mask SDPA would align its causal one with the first key, which is the prefix.
            mask = _causal_mask(bound.arguments["hidden_states"])
        bound.arguments["attention_mask"] = None if mask is None else _with_prefix_visible(mask, length)
        bound.arguments["past_key_values"] = cache
        return bound.args, bound.kwargs

    return [attention.register_forward_pre_hook(hand_over, with_kwargs=True)]


def _in_front(prefix: Float[Tensor, "p k"], rows: Float[Tensor, "n g t c"]) -> Float[Tensor, "n g pt c"]:
    n, groups, _, channels = rows.shape
    shaped = prefix.to(rows.dtype).view(len(prefix), groups, channels).transpose(0, 1)
    return torch.cat([shaped.expand(n, -1, -1, -1), rows], dim=2)


def _with_prefix_visible(mask: Tensor, length: int) -> Tensor:
    # A boolean mask says True for "may look"; an additive one says 0.
    visible = True if mask.dtype == torch.bool else 0.0
    return functional.pad(mask, (length, 0), value=visible)


def _causal_mask(hidden_states: Float[Tensor, "n t h"]) -> Tensor:
    tokens = hidden_states.shape[1]
    return torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=hidden_states.device).tril()
