"""Orders that no data went into: what importance is compared with."""

import random
from dataclasses import dataclass

from workers.architecture.importance import magnitude_unit_order
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
        units=magnitude_unit_order(backbone),
    )


def random_order(backbone: Backbone, *, seed: int) -> Order:
    """Return layers and units in an order drawn by a seed."""
    draw = random.Random(seed)  # noqa: S311  no secret

    def shuffled(count: int) -> tuple[int, ...]:
        return tuple(draw.sample(range(count), count))

    layers = len(backbone.layers)
    return Order(shuffled(layers), tuple(shuffled(backbone.shape.ffn_size) for _ in range(layers)))
