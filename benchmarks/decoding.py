"""What smaller decoders save: `python -m benchmarks.decoding time`, then `report`.

SmolLM2 is cut in depth, in the width of its blocks and in heads. Timed are a prompt (prefill) and one more
token behind it (decoding, with the cache of keys and values), both with the product over the vocabulary.
Which parts stay does not matter to time, so the first ones do; nothing is trained.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from api_schemas.architecture import Architecture
from benchmarks import json_lines
from benchmarks.architecture.latency import in_shares, timed_by_turns, ways_of
from benchmarks.markdown import markdown_table
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import Orders, SubNetwork, chosen, everything
from workers.backbones.loading import Backbone, load_backbone

RESULTS = Path(__file__).parent / "results" / "decoding.jsonl"
BACKBONE = "SmolLM2-135M-Instruct"
PROMPTS, TOKENS, WORD = 8, 32, 20
WHOLE = "whole"
SIZES: Mapping[str, Mapping[str, float]] = {
    "75 % of the layers": {"keep_layers": 0.75},
    "half of the layers": {"keep_layers": 0.5},
    "75 % of the units": {"ffn_width": 0.75},
    "half of the units": {"ffn_width": 0.5},
    "two thirds of the heads": {"heads": 2 / 3},
    "75 % of the layers, half of the units": {"keep_layers": 0.75, "ffn_width": 0.5},
}


def main() -> None:
    """Time what is cut, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["time", "report"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.action == "report":
        print(report(json_lines.read(RESULTS)))
        return
    backbone = load_backbone(BACKBONE, models_dir=None, device=torch.device("cpu"))
    networks = {name: extracted(backbone, kept) for name, kept in sub_networks(backbone)}
    times = timed_by_turns({name: passes(network) for name, network in networks.items()})
    for name, network in networks.items():
        parameters = sum(weight.numel() for weight in network.model.parameters())
        precision = str(network.model.dtype).removeprefix("torch.")
        json_lines.append(
            RESULTS, {"timed": name, "parameters": parameters, "precision": precision, **times[name]}
        )


def sub_networks(backbone: Backbone) -> Iterator[tuple[str, SubNetwork]]:
    """Yield what is timed: the first layers, units and heads of a backbone."""
    shape, read = backbone.shape, backbone.model.config.to_dict()  # type: ignore[union-attr,operator]
    heads, groups = read["num_attention_heads"], read["num_key_value_heads"]
    yield WHOLE, everything(shape.layers)
    every = {"keep_layers": shape.layers, "ffn_width": shape.ffn_size, "heads": heads}
    first = tuple(range(shape.layers))
    # Each head of keys and values must keep as many heads of queries.
    by_turns = tuple(
        group * heads // groups + place for place in range(heads // groups) for group in range(groups)
    )
    orders = Orders(first, (tuple(range(shape.ffn_size)),) * len(first), (by_turns,) * len(first))
    for name, shares in SIZES.items():
        sizes = {size: round(share * every[size]) for size, share in shares.items()}
        if "heads" in sizes:
            sizes["heads"] -= sizes["heads"] % groups
        yield name, chosen(Architecture.model_validate({"which": "first", **every, **sizes}), orders)


@torch.inference_mode()
def passes(network: Backbone) -> dict[str, Callable[[], object]]:
    """Return what is timed of a network."""
    prompts = torch.full((PROMPTS, TOKENS), WORD)
    cache = DynamicCache()
    network.model(input_ids=prompts[:1], past_key_values=cache, use_cache=True)
    return {
        f"prefill {PROMPTS}x{TOKENS}": partial(_logits, network.model, prompts),
        f"one token behind {TOKENS}": partial(_next_token, network.model, prompts[:1, :1], cache),
    }


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return a table: the last measurement of each network, as shares of the whole one's."""
    last = {line["timed"]: line for line in lines}
    whole = last[WHOLE]
    rows = [
        [name, f"{line['parameters'] / 1e6:.1f} M", *in_shares(line, whole)] for name, line in last.items()
    ]
    return markdown_table([f"kept, one thread, {whole['precision']}", "parameters", *ways_of(whole)], rows)


@torch.inference_mode()
def _logits(model: nn.Module, ids: Tensor, **how: Any) -> Tensor:
    """Return the answers at the last token, over the vocabulary: SmolLM2 ties them to its embeddings."""
    hidden = model(input_ids=ids, **how).last_hidden_state[:, -1]
    words: Tensor = model.get_input_embeddings().weight  # type: ignore[operator]  # ships no types
    return hidden @ words.T


def _next_token(model: nn.Module, ids: Tensor, cache: DynamicCache) -> None:
    _logits(model, ids, past_key_values=cache, use_cache=True)
    cache.crop(-1)


if __name__ == "__main__":
    main()
