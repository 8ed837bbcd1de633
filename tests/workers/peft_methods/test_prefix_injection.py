"""The prefix of every family against attention written out, or against transformers' own cache."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from tests.workers.conftest import KINDS, tiny
from tests.workers.peft_methods.test_peft_methods import (
    ATOL,
    IDS,
    MASK,
    PREFIX,
    hidden_states,
    modules_for,
    real_tokens,
)
from workers.backbones.loading import Backbone

ALL_LAYERS = {"active_layers": [True, True, True]}
DECODERS = ["gpt2", "llama", "mistral", "qwen2", "qwen3"]
ENCODERS = [kind for kind in KINDS if kind not in DECODERS]


def heads(x: Tensor) -> Tensor:
    return x.view(*x.shape[:-1], 4, -1).transpose(-3, -2)


def position_scores(
    backbone: Backbone, layer: int, hidden: Tensor, named: dict[str, Any]
) -> tuple[Any, float]:
    """What the family adds to the scores of tokens, and what it divides the others by."""
    attention: Any = backbone.part(layer, "attention")
    encoder: Any = backbone.model.get_submodule("encoder" if hasattr(backbone.model, "encoder") else "")
    tokens = hidden.shape[1]
    query, key = attention_inputs(backbone, layer, hidden)[:2]
    divisor = math.sqrt(query.shape[-1])
    if backbone.shape.model_type == "t5":
        return encoder.block[0].layer[0].SelfAttention.compute_bias(tokens, tokens), 1.0
    if backbone.shape.model_type == "mpnet":
        return encoder.compute_position_bias(hidden), divisor
    if getattr(attention, "relative_attention", False):
        flat = [x.reshape(-1, tokens, x.shape[-1]) for x in (query, key)]
        scores = attention.disentangled_attention_bias(
            *flat, named["relative_pos"], named["rel_embeddings"], 3
        )
        return scores.view(len(hidden), 4, tokens, tokens), divisor * math.sqrt(3)
    return torch.zeros(1, 4, tokens, tokens, dtype=hidden.dtype), divisor


def attention_inputs(backbone: Backbone, layer: int, hidden: Tensor) -> list[Tensor]:
    return [heads(backbone.part(layer, role)(hidden)) for role in ("query", "key", "value")]


def write_out_attention(backbone: Backbone, layer: int, found: dict[str, Tensor]) -> None:
    """Replace the attention of a layer by softmax([q P_k, q K + bias]) [P_v; V], without hooks."""

    def forward(hidden_states: Tensor, *_: Any, **named: Any) -> tuple[Tensor, Any, Any]:
        query, key, value = attention_inputs(backbone, layer, hidden_states)
        bias, divisor = position_scores(backbone, layer, hidden_states, named)
        prefix_key, prefix_value = (
            heads(found[f"layers.{layer}.prefix_tuning.{part}"]).expand(len(query), -1, -1, -1)
            for part in ("key", "value")
        )
        to_tokens = query @ key.transpose(-1, -2) / divisor + bias
        to_tokens = to_tokens.masked_fill(MASK[:, None, None, :] == 0, -torch.inf)
        to_prefix = query @ prefix_key.transpose(-1, -2) / divisor
        weights = torch.cat([to_prefix, to_tokens], dim=-1).softmax(dim=-1)
        output = (weights @ torch.cat([prefix_value, value], dim=2)).transpose(1, 2).flatten(2)
        if backbone.paths.attention_output.startswith(backbone.paths.attention + "."):
            output = backbone.part(layer, "attention_output")(output)
        return output, None, None  # what T5 expects; the others take the first two

    replaced: Any = backbone.part(layer, "attention")
    replaced.forward = forward
    if backbone.shape.model_type != "t5":
        replaced.forward = lambda *arguments, **named: forward(*arguments, **named)[:2]


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_prefix_is_attention_over_concatenated_keys_and_values(kind: str) -> None:
    """Padding is not seen, the prefix is, and it has no position, with or without a relative bias."""
    backbone = tiny(kind)
    modules = modules_for(backbone, {**PREFIX, **ALL_LAYERS})
    reference = copy.deepcopy(backbone)
    for layer in range(3):
        write_out_attention(reference, layer, modules.state_dict())
    expected = real_tokens(hidden_states(reference))
    assert torch.allclose(real_tokens(hidden_states(backbone, modules)), expected, atol=ATOL)


@pytest.mark.parametrize("kind", DECODERS)
def test_the_prefix_equals_a_filled_cache_on_a_decoder(kind: str) -> None:
    """Transformers' own cache, filled with the prefix, with positions that do not count it."""
    backbone = tiny(kind)
    modules = modules_for(backbone, {**PREFIX, **ALL_LAYERS})
    found = modules.state_dict()
    groups = KINDS[kind].to_dict().get("num_key_value_heads", 4)
    cache = DynamicCache()
    for layer in range(3):
        key, value = (
            found[f"layers.{layer}.prefix_tuning.{part}"]
            .view(2, groups, -1)
            .transpose(0, 1)
            .expand(2, -1, -1, -1)
            for part in ("key", "value")
        )
        cache.update(key, value, layer)
    expected = backbone.model(
        input_ids=IDS,
        attention_mask=torch.cat([torch.ones(2, 2, dtype=torch.long), MASK], dim=1),
        position_ids=torch.arange(5).expand(2, -1),
        past_key_values=cache,
    ).last_hidden_state
    assert torch.allclose(real_tokens(hidden_states(backbone, modules)), real_tokens(expected), atol=ATOL)
