"""Orders that no data went into: what importance is compared with."""

import random
from dataclasses import dataclass

from workers.architecture.extraction import unit_rows
from workers.backbones.loading import Backbone


@dataclass(frozen=True)
class Order:
    """The layers of a backbone and the units of each layer's feed-forward block, the most useful first."""

    layers: tuple[int, ...]
    units: tuple[tuple[int, ...], ...]
    """For each layer of the backbone, in the backbone's order."""


def magnitude_order(backbone: Backbone) -> Order:
    """Return layers and units by the size of their weights, the largest first."""
    sizes = [
        sum(float(weight.double().square().sum()) for weight in layer.parameters())
        for layer in backbone.layers
    ]
    return Order(
        layers=tuple(sorted(range(len(sizes)), key=lambda layer: -sizes[layer])),
        units=tuple(_units_by_weight(backbone, layer) for layer in range(len(sizes))),
    )


def random_order(backbone: Backbone, *, seed: int) -> Order:
    """Return layers and units in an order drawn by a seed."""
    draw = random.Random(seed)  # noqa: S311  no secret

    def shuffled(count: int) -> tuple[int, ...]:
        return tuple(draw.sample(range(count), count))

    layers = len(backbone.layers)
    return Order(shuffled(layers), tuple(shuffled(backbone.shape.ffn_size) for _ in range(layers)))


def _units_by_weight(backbone: Backbone, layer: int) -> tuple[int, ...]:
    """Order units by the norm of the weights that lead to each, times that of those that leave it."""
    entering = backbone.part(layer, "ffn_in")
    into = unit_rows(entering, reads=False).double().norm(dim=1)
    out_of = unit_rows(backbone.part(layer, "ffn_out"), reads=True).double().norm(dim=1)
    sizes = (into * out_of).tolist()
    return tuple(sorted(range(len(sizes)), key=lambda unit: -sizes[unit]))
