"""Which parts of a backbone a smaller network keeps. Knows no tensors, nor how an order was found."""

import hashlib

from api_schemas.architecture import Architecture
from api_schemas.base import Schema


class SubNetwork(Schema):
    """The layers of a backbone that are kept, in the backbone's order, and the units of each one's block.

    `ffn_units` has an entry for each kept layer: the numbers of the units of its feed-forward block in
    the backbone, ascending, or None for all of them.
    """

    layers: tuple[int, ...]
    ffn_units: tuple[tuple[int, ...] | None, ...]

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


def chosen(
    architecture: Architecture,
    *,
    layers: tuple[int, ...],
    units: tuple[tuple[int, ...], ...] | None,
) -> SubNetwork:
    """Return the sub-network that begins an order of layers and, in each of them, an order of units.

    `layers` is an order of all layers of the backbone, read only where the architecture goes by importance;
    `units` one of each layer's units, None where the architecture keeps them all. A smaller sub-network
    is therefore part of every larger one.
    """
    kept = sorted(_layers_in_order(architecture, layers)[: architecture.keep_layers])
    width = architecture.ffn_width
    if width is None or units is None:
        return SubNetwork(layers=tuple(kept), ffn_units=(None,) * len(kept))
    return SubNetwork(
        layers=tuple(kept), ffn_units=tuple(tuple(sorted(units[layer][:width])) for layer in kept)
    )


def _layers_in_order(architecture: Architecture, layers: tuple[int, ...]) -> tuple[int, ...]:
    in_place = range(len(layers))
    match architecture.which:
        case "first":
            return tuple(in_place)
        case "last":
            return tuple(reversed(in_place))
        case _:
            return layers
