"""Two ways to put trained keys and values into a self-attention, both without touching its weights.

Where the attention takes a key-value cache, the prefix is passed as one. Where it takes none, the
attention is called on a text that is longer by the prefix, and hooks put the prefix where the keys and
values of the added rows would be; the added rows of the output are dropped.

A prefix of shape (p, k) is every row's. One of shape (trials, p, k) belongs to trials whose rows lie one
after the other in equal numbers; `visible` then says which of its p rows a trial has, the others are
padding.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from workers.backbones.loading import Backbone

MASK_NAMES = ("attention_mask", "mask")
POSITION_BIAS = "position_bias"


class PrefixCache:
    """Stands where transformers expects a key-value cache and puts the prefix in front."""

    def __init__(self, key: Float[Tensor, "... p k"], value: Float[Tensor, "... p k"]) -> None:
        self.key = key
        self.value = value

    def update(
        self, keys: Float[Tensor, "n g t c"], values: Float[Tensor, "n g t c"], *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values with the prefix in front."""
        return _in_front_of_heads(self.key, keys), _in_front_of_heads(self.value, values)

    def get_seq_length(self, *_: Any) -> int:
        """Return that no token came before: a prefix takes no positions."""
        return 0


class ReplacedMethod:
    """A method of one module that is another function until it is removed."""

    def __init__(self, module: nn.Module, name: str, function: Callable[..., Tensor]) -> None:
        self.module = module
        self.name = name
        setattr(module, name, function)

    def remove(self) -> None:
        """Uncover the method of the class."""
        delattr(self.module, self.name)


Handle = RemovableHandle | ReplacedMethod


def takes_a_cache(attention: nn.Module) -> bool:
    """Return whether this self-attention accepts keys and values from outside."""
    return "past_key_values" in inspect.signature(attention.forward).parameters


def inject_via_cache(
    key: Float[Tensor, "... p k"],
    value: Float[Tensor, "... p k"],
    *,
    backbone: Backbone,
    layer: int,
    visible: Bool[Tensor, "trials p"] | None = None,
) -> list[Handle]:
    """Pass the attention of one layer a cache with the prefix, and a mask in which it is visible.

    A position bias that the first layer computes and the later ones reuse (T5) is widened by zeros on
    its way in and narrowed on its way out.
    """
    attention = backbone.part(layer, "attention")
    signature = inspect.signature(attention.forward)
    mask_name = _mask_name(signature)
    cache = PrefixCache(key, value)
    length = key.shape[-2]

    def pass_cache(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        bound = signature.bind_partial(*arguments, **named)
        mask = bound.arguments.get(mask_name)
        if mask is None and getattr(attention, "is_causal", False):
            # Without a mask SDPA would align its causal one with the first key, which is the prefix.
            mask = _causal_mask(bound.arguments["hidden_states"])
        hidden = bound.arguments["hidden_states"]
        bound.arguments[mask_name] = _with_prefix(mask, hidden, length=length, visible=visible)
        if POSITION_BIAS in signature.parameters:
            bias = _position_bias(attention, bound.arguments)
            bound.arguments[POSITION_BIAS] = None if bias is None else functional.pad(bias, (length, 0))
        bound.arguments["past_key_values"] = cache
        return bound.args, bound.kwargs

    def narrow_bias(_: nn.Module, __: Any, output: tuple[Any, ...]) -> tuple[Any, ...]:
        return output[0], output[1][..., length:], *output[2:]

    handles: list[Handle] = [attention.register_forward_pre_hook(pass_cache, with_kwargs=True)]
    if POSITION_BIAS in signature.parameters:
        handles.append(attention.register_forward_hook(narrow_bias))
    return handles


def inject_via_projections(
    key: Float[Tensor, "... p k"],
    value: Float[Tensor, "... p k"],
    *,
    backbone: Backbone,
    layer: int,
    visible: Bool[Tensor, "trials p"] | None = None,
) -> list[Handle]:
    """Lengthen the text of one attention by the prefix, and put the prefix behind its projections.

    The projections still see the tokens alone, so a low-rank update of them does too.
    """
    attention = backbone.part(layer, "attention")
    signature = inspect.signature(attention.forward)
    mask_name = _mask_name(signature)
    length = key.shape[-2]
    rows = {"query": torch.zeros_like(key), "key": key, "value": value}
    # DeBERTa calls its query and key projections a second time, for positions: leave those calls alone.
    awaited: set[str] = set()

    def lengthen(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        bound = signature.bind_partial(*arguments, **named)
        hidden = bound.arguments["hidden_states"]
        bound.arguments["hidden_states"] = functional.pad(hidden, (0, 0, length, 0))
        mask = _with_prefix(bound.arguments.get(mask_name), hidden, length=length, visible=visible)
        bound.arguments[mask_name] = _with_added_queries(mask, length)
        bias = bound.arguments.get(POSITION_BIAS)
        if bias is not None:
            bound.arguments[POSITION_BIAS] = functional.pad(bias, (length, 0, length, 0))
        awaited.update(rows)
        return bound.args, bound.kwargs

    def shorten(_: nn.Module, __: Any, output: tuple[Any, ...]) -> tuple[Any, ...]:
        return output[0][:, length:], *output[1:]

    def around(role: str) -> list[RemovableHandle]:
        def tokens_alone(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (arguments[0][:, length:],) if role in awaited else arguments

        def put_in_front(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            if role not in awaited:
                return output
            awaited.discard(role)
            prefix = rows[role].to(output.dtype).view(-1, length, output.shape[-1])
            return torch.cat([_for_each_row(prefix, len(output)), output], dim=1)

        projection = backbone.part(layer, role)
        return [
            projection.register_forward_pre_hook(tokens_alone),
            projection.register_forward_hook(put_in_front),
        ]

    handles: list[Handle] = [
        attention.register_forward_pre_hook(lengthen, with_kwargs=True),
        attention.register_forward_hook(shorten),
        *(handle for role in rows for handle in around(role)),
    ]
    if backbone.paths.relative_bias is not None:
        handles.append(_without_bias_on_prefix(attention, backbone.paths.relative_bias, length))
    return handles


def _without_bias_on_prefix(attention: nn.Module, name: str, length: int) -> ReplacedMethod:
    of_tokens = getattr(attention, name)

    def bias(queries: Tensor, keys: Tensor, *others: Any) -> Tensor:
        return functional.pad(
            of_tokens(queries[:, length:], keys[:, length:], *others), (length, 0, length, 0)
        )

    return ReplacedMethod(attention, name, bias)


def _mask_name(signature: inspect.Signature) -> str:
    return next(name for name in MASK_NAMES if name in signature.parameters)


def _position_bias(attention: nn.Module, arguments: dict[str, Any]) -> Tensor | None:
    given: Tensor | None = arguments.get(POSITION_BIAS)
    if given is None and getattr(attention, "has_relative_attention_bias", False):
        tokens = arguments["hidden_states"].shape[1]
        computed: Tensor = attention.compute_bias(tokens, tokens)  # type: ignore[operator]  # transformers ships no types
        return computed
    return given


def _in_front_of_heads(
    prefix: Float[Tensor, "... p k"], rows: Float[Tensor, "n g t c"]
) -> Float[Tensor, "n g pt c"]:
    n, groups, _, channels = rows.shape
    shaped = prefix.to(rows.dtype).view(-1, prefix.shape[-2], groups, channels).transpose(1, 2)
    return torch.cat([_for_each_row(shaped, n), rows], dim=2)


def _for_each_row(of_trials: Float[Tensor, "trials ..."], n: int) -> Float[Tensor, "n ..."]:
    trials, *rest = of_trials.shape
    return of_trials.unsqueeze(1).expand(trials, n // trials, *rest).flatten(0, 1)


def _with_prefix(
    mask: Tensor | None, hidden: Float[Tensor, "n t h"], *, length: int, visible: Tensor | None
) -> Tensor | None:
    if visible is not None:
        return _with_padding_hidden(mask, visible, hidden)
    # An additive mask says 0 for "may look"; one of booleans or integers says 1.
    return None if mask is None else functional.pad(mask, (length, 0), value=_may_look(mask))


def _may_look(mask: Tensor) -> float:
    return 0.0 if mask.is_floating_point() else 1


def _with_padding_hidden(mask: Tensor | None, visible: Bool[Tensor, "trials p"], hidden: Tensor) -> Tensor:
    n, tokens, _ = hidden.shape
    if mask is None:
        mask = torch.zeros(n, 1, 1, tokens, dtype=hidden.dtype, device=hidden.device)
    shown = _for_each_row(visible, n)[:, None, None].expand(-1, *mask.shape[1:3], -1)
    if mask.is_floating_point():
        front = torch.zeros_like(shown, dtype=mask.dtype)
        front = front.masked_fill(~shown, torch.finfo(mask.dtype).min)
    else:
        front = shown.to(mask.dtype)
    return torch.cat([front, mask.expand(n, -1, -1, -1)], dim=-1)


def _with_added_queries(mask: Tensor | None, length: int) -> Tensor | None:
    if mask is None or mask.shape[-2] == 1:
        return mask
    # The added queries are dropped afterwards, but a row without any visible key would be NaN.
    return functional.pad(mask, (0, 0, length, 0), value=_may_look(mask))


def _causal_mask(hidden_states: Float[Tensor, "n t h"]) -> Tensor:
    tokens = hidden_states.shape[1]
    return torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=hidden_states.device).tril()
