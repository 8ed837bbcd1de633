"""Which parts of a backbone a smaller network keeps. Knows no tensors, nor how an order was found."""

import hashlib
from dataclasses import dataclass

from pydantic import Field

from api_schemas.architecture import Architecture
from api_schemas.base import Schema


class SubNetwork(Schema):
    """The layers of a backbone that are kept, in the backbone's order, and the units of each one's block.

    `ffn_units` has an entry for each kept layer: the numbers of the units of its feed-forward block in
    the backbone, ascending, or None for all of them. So have `heads` those of its heads of queries.
    """

    layers: tuple[int, ...]
    ffn_units: tuple[tuple[int, ...] | None, ...]
    heads: tuple[tuple[int, ...], ...] | None = Field(default=None, exclude_if=lambda heads: heads is None)

    @property
    def widths(self) -> tuple[int | None, ...]:
        """The number of feed-forward units of each kept layer, None for all of them."""
        return tuple(None if units is None else len(units) for units in self.ffn_units)

    @property
    def is_uniform(self) -> bool:
        """Whether one number says how wide the feed-forward blocks of all layers are."""
        return len(set(self.widths)) == 1

    @property
    def digest(self) -> str:
        """A name that only the same sub-network has."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def everything(layer_count: int) -> SubNetwork:
    """Return the sub-network that is the whole backbone."""
    return SubNetwork(layers=tuple(range(layer_count)), ffn_units=(None,) * layer_count)


def without(layer: int, *, layer_count: int) -> SubNetwork:
    """Return the backbone without one of its layers."""
    kept = tuple(other for other in range(layer_count) if other != layer)
    return SubNetwork(layers=kept, ffn_units=(None,) * len(kept))


@dataclass(frozen=True)
class Orders:
    """Orders of the parts of a backbone, the most useful first.

    `layers` names all layers; it is read only where an architecture goes by importance. `units` and `heads`
    have an order for each layer, and are None where an architecture keeps them all.
    """

    layers: tuple[int, ...]
    units: tuple[tuple[int, ...], ...] | None = None
    heads: tuple[tuple[int, ...], ...] | None = None


def chosen(architecture: Architecture, orders: Orders) -> SubNetwork:
    """Return the sub-network that begins the orders: a smaller one is part of every larger one."""
    kept = sorted(_layers_in_order(architecture, orders.layers)[: architecture.keep_layers])
    units: list[tuple[int, ...] | None] = [None] * len(kept)
    if orders.units is not None:
        units = [
            None if width is None else tuple(sorted(orders.units[layer][:width]))
            for layer, width in zip(kept, architecture.widths_by_layer(), strict=True)
        ]
    heads = None
    if architecture.heads is not None and orders.heads is not None:
        heads = tuple(tuple(sorted(orders.heads[layer][: architecture.heads])) for layer in kept)
    return SubNetwork(layers=tuple(kept), ffn_units=tuple(units), heads=heads)


def _layers_in_order(architecture: Architecture, layers: tuple[int, ...]) -> tuple[int, ...]:
    in_place = range(len(layers))
    match architecture.which:
        case "first":
            return tuple(in_place)
        case "last":
            return tuple(reversed(in_place))
        case _:
            return layers
