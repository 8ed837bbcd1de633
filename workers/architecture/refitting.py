"""Weights of the units that stay, fitted to what the whole block puts out: least squares, in closed form.

A feed-forward block puts out W x + b for the activations x of its units. A narrower one has W_S x_S + b; here
V and c are found whose V x_S + c is nearest to W x + b on a task's training rows. So Optimal Brain Surgeon
(Hassibi and Stork 1993) and ZipLM (arXiv 2302.04089) repair what they cut. Nothing is trained.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from workers.architecture.importance import read_by_layers
from workers.architecture.projections import unit_rows
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.spans import tracer

PRIOR_TOKENS = 500.0
"""A changed weight costs as much as so many tokens of the mean square of a kept unit: few rows change little.

Measured by `python -m benchmarks.damping` on tokens that the fit has not seen.
"""

MOMENTS_BYTES = 2**30
"""How much the second moments of the layers that are read at once may take."""

Moments = Float[Tensor, "f1 f1"]
"""Products of the activations of a layer's units, and last of a constant 1, summed over the real tokens."""


def layer_groups(backbone: Backbone) -> tuple[tuple[int, ...], ...]:
    """Return the layers, in groups whose moments fit in `MOMENTS_BYTES`; at least one layer in each."""
    of_one = 4 * (backbone.shape.ffn_size + 1) ** 2
    layers, at_once = tuple(range(len(backbone.layers))), max(1, MOMENTS_BYTES // of_one)
    return tuple(layers[first : first + at_once] for first in range(0, len(layers), at_once))


@tracer.start_as_current_span("read moments")
@torch.inference_mode()
def second_moments(backbone: Backbone, split: TokenisedSplit, *, layers: Sequence[int]) -> dict[int, Moments]:
    """Return the moments of some layers' units over a split, in float32."""
    size = backbone.shape.ffn_size + 1
    sums = {layer: torch.zeros(size, size) for layer in layers}

    def add(place: int, read: Tensor) -> None:
        with_one = torch.cat([read.float(), torch.ones(len(read), 1, device=read.device)], dim=1)
        sums[layers[place]] += (with_one.T @ with_one).cpu()

    readers = [backbone.part(layer, "ffn_out") for layer in layers]
    read_by_layers(readers, add, backbone=backbone, split=split)
    return sums


def refitted(
    backbone: Backbone, sub_network: SubNetwork, *, moments: Mapping[int, Moments]
) -> dict[str, Tensor]:
    """Return the new weights of the narrower blocks of those layers whose moments are given.

    `{place}.weight` has a row for each number that the block puts out, `{place}.bias` stands where the block
    has one; `place` numbers the layers that are kept.
    """
    found: dict[str, Tensor] = {}
    for place, (layer, units) in enumerate(zip(sub_network.layers, sub_network.ffn_units, strict=True)):
        if units is not None and layer in moments:
            reader = backbone.part(layer, "ffn_out")
            weight, bias = unit_rows(reader, reads=True).T, reader._parameters.get("bias")
            fitted, constant = least_squares(weight, units, moments=moments[layer], has_bias=bias is not None)
            found[f"{place}.weight"] = fitted.to(weight.dtype)
            if bias is not None:
                found[f"{place}.bias"] = (bias.double().cpu() + constant).to(bias.dtype)
    return found


def least_squares(
    weight: Float[Tensor, "m f"],
    units: Sequence[int],
    *,
    moments: Moments,
    has_bias: bool,
    prior_tokens: float = PRIOR_TOKENS,
) -> tuple[Float[Tensor, "m u"], Float[Tensor, " m"]]:
    """Return V and c that minimise the sum of |W x - V x_S - c|^2 and of damping |V - W_S|^2.

    With S the kept units, D the others and H their moments, V = W_S + W_D H_DS (H_SS + damping I)^-1. The
    constant 1 is a unit that is always kept, and that no damping holds; without a bias c is 0.
    """
    whole, second = weight.detach().double().cpu(), moments.double()
    kept = torch.tensor([*units, *([whole.shape[1]] if has_bias else [])])
    cut = torch.tensor(sorted(set(range(whole.shape[1])) - set(units)), dtype=torch.long)
    system = second[kept][:, kept]
    count = len(units)
    penalties = torch.zeros(len(kept), dtype=torch.float64)
    # A unit that is silent on every row would leave the system singular.
    tokens = second[-1, -1]
    penalties[:count] = (prior_tokens / tokens * system.diagonal()[:count].mean()).clamp_min(1e-12)
    lost = second[kept][:, cut] @ whole[:, cut].T
    change = torch.linalg.solve(system + penalties.diag(), lost).T
    fitted = whole[:, kept[:count]] + change[:, :count]
    return fitted, change[:, count:].sum(dim=1)
