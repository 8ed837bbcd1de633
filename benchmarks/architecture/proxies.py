"""Zero-cost proxies of a network: what one batch says before any training. A larger one should be better.

All are computed in float32 from the weights of the layers, which are what a sub-network leaves out.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.backbones.activation_cache import pool
from workers.backbones.loading import Backbone, layer_list_of
from workers.data.task_data import Batch, TokenisedSplit, micro_batches, pad

ROWS = 32
PROXIES = ("gradient_norm", "snip", "synflow", "gradsign")


def zero_cost_proxies(network: Backbone, split: TokenisedSplit, *, classes: int) -> Mapping[str, float]:
    """Return the proxies of a network on evenly spaced rows, with a head that is drawn by seed 0.

    `gradient_norm` sums the norms of all gradients (Abdelfattah and others, arXiv 2101.08134), `snip` their
    products with the weights (1810.02340), `synflow` the same where everything is positive and no norm is
    left (2006.05467), as the logarithm; `gradsign` how far rows agree in the signs of gradients (2110.08616).
    """
    model: Any = copy.deepcopy(network.model).float()
    weights = [weight.requires_grad_() for layer in layer_list_of(model) for weight in layer.parameters()]
    head = 0.02 * torch.randn(classes, network.shape.hidden_size, generator=torch.Generator().manual_seed(0))
    positions = [number * len(split) // ROWS for number in range(ROWS)]
    pad_id = network.tokenizer.pad_token_id
    batch = pad(replace(split, activations=None), positions, pad_id=pad_id, device=torch.device("cpu"))
    gradients = _gradients(model, batch, weights, head)
    products = (weight.detach() * of for weight, of in zip(weights, gradients, strict=True))
    row_by_row = (_gradients(model, row, weights, head) for row in micro_batches(batch, tokens=1))
    return {
        "gradient_norm": sum(float(gradient.norm()) for gradient in gradients),
        "snip": sum(float(product.abs().sum()) for product in products),
        "synflow": synflow(network),
        "gradsign": _agreement(row_by_row),
    }


def synflow(network: Backbone) -> float:
    """Return the logarithm of the sum of |w| times its gradient, for the sum of what comes out."""
    model: Any = copy.deepcopy(network.model).double()
    for name, part in list(model.named_modules()):
        if isinstance(part, nn.LayerNorm):
            model.set_submodule(name, nn.Identity())
    with torch.no_grad():
        for weight in model.parameters():
            weight.abs_()
        for layer in layer_list_of(model):
            # A lone token attends to itself alone, so these have no flow but that of rounding errors.
            for path in (network.paths.query, network.paths.key):
                layer.get_submodule(path).get_parameter("weight").zero_()
    weights = [weight.requires_grad_() for layer in layer_list_of(model) for weight in layer.parameters()]
    ones = torch.ones(1, 1, network.shape.embedding_width, dtype=torch.float64)
    total = model(inputs_embeds=ones).last_hidden_state.sum()
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    flow = sum(
        (weight.detach() * gradient).sum()
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )
    return float(torch.as_tensor(flow).log())


def _gradients(model: Any, batch: Batch, weights: Sequence[Tensor], head: Tensor) -> tuple[Tensor, ...]:
    hidden = model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
    loss = functional.cross_entropy(pool(hidden, batch.mask) @ head.T, batch.labels)
    return torch.autograd.grad(loss, weights, materialize_grads=True)


def _agreement(rows: Iterator[Sequence[Tensor]]) -> float:
    signs: list[Tensor] | None = None
    for of_row in rows:
        own = [gradient.sign().to(torch.int8) for gradient in of_row]
        signs = own if signs is None else [one + other for one, other in zip(signs, own, strict=True)]
    return float(sum(int(sign.abs().sum(dtype=torch.int64)) for sign in signs or ()))
