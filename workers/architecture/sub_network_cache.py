"""Orders of importance and extracted sub-networks that a worker keeps between trials.

Orders and moments are found once for each backbone and task; a trial then pays for cutting weights, and for
the least squares that fit what stays.
"""

from torch import Tensor

from api_schemas.architecture import Architecture, UnitsBy, WhichLayers
from workers.architecture.extraction import extracted
from workers.architecture.importance import (
    head_order,
    layer_order,
    magnitude_unit_order,
    measuring_rows,
    unit_order,
)
from workers.architecture.refitting import Moments, layer_groups, refitted, second_moments
from workers.architecture.sub_network import Orders, SubNetwork, chosen
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.recently_used import kept_or_made

NETWORKS_KEPT = 2
ORDERS_KEPT = 8
MOMENTS_KEPT = 2
"""Groups of layers; each takes up to `refitting.MOMENTS_BYTES`. The narrower blocks of a backbone with more
groups are not fitted: each trial would read all of them anew, and solve for minutes."""

Order = tuple[tuple[int, ...], ...]
"""For each layer of a backbone."""


class SubNetworkCache:
    """Cuts sub-networks on first use and keeps the most recently used ones."""

    def __init__(self) -> None:
        self._networks: dict[tuple[str, str], Backbone] = {}
        self._layer_orders: dict[str, tuple[int, ...]] = {}
        self._unit_orders: dict[str, Order] = {}
        self._head_orders: dict[str, Order] = {}
        self._moments: dict[tuple[str, tuple[int, ...]], dict[int, Moments]] = {}

    def network(
        self, architecture: Architecture, *, backbone: Backbone, rows: TokenisedSplit, key: str
    ) -> Backbone:
        """Return the sub-network of a backbone that a task's rows lead to; `key` names the two of them.

        Raises:
            UnsupportedBackbone: If this backbone cannot be cut so.
        """
        return kept_or_made(
            self._networks,
            (key, architecture.model_dump_json()),
            lambda: self._extracted(architecture, backbone, rows, key=key),
            most=NETWORKS_KEPT,
        )

    def _extracted(
        self, architecture: Architecture, backbone: Backbone, rows: TokenisedSplit, *, key: str
    ) -> Backbone:
        kept = self.sub_network(architecture, backbone=backbone, rows=rows, key=key)
        groups = layer_groups(backbone)
        # Units by magnitude are what people do by hand, who fit nothing.
        by_hand = architecture.units_by is UnitsBy.MAGNITUDE
        if by_hand or len(groups) > MOMENTS_KEPT or all(units is None for units in kept.ffn_units):
            return extracted(backbone, kept)
        weights: dict[str, Tensor] = {}
        for layers in groups:
            if not set(layers).isdisjoint(kept.layers):
                weights |= refitted(backbone, kept, moments=self._moments_of(layers, backbone, rows, key=key))
        return extracted(backbone, kept, refitted=weights)

    def _moments_of(
        self, layers: tuple[int, ...], backbone: Backbone, rows: TokenisedSplit, *, key: str
    ) -> dict[int, Moments]:
        return kept_or_made(
            self._moments,
            (key, layers),
            lambda: second_moments(backbone, measuring_rows(rows), layers=layers),
            most=MOMENTS_KEPT,
        )

    def sub_network(
        self, architecture: Architecture, *, backbone: Backbone, rows: TokenisedSplit, key: str
    ) -> SubNetwork:
        """Return the parts of a backbone that a task's rows lead to, and cut nothing."""
        count = len(backbone.layers)
        layers, units, heads = tuple(range(count)), None, None
        if architecture.which is WhichLayers.IMPORTANCE and architecture.keep_layers < count:
            layers = kept_or_made(
                self._layer_orders, key, lambda: layer_order(backbone, measuring_rows(rows)), most=ORDERS_KEPT
            )
        widths = architecture.widths_by_layer()
        if any(width is not None and width < backbone.shape.ffn_size for width in widths):
            units = self._units(architecture, backbone, rows, key=key)
        if architecture.heads is not None:
            heads = kept_or_made(
                self._head_orders, key, lambda: head_order(backbone, measuring_rows(rows)), most=ORDERS_KEPT
            )
        return chosen(architecture, Orders(layers, units, heads))

    def _units(
        self, architecture: Architecture, backbone: Backbone, rows: TokenisedSplit, *, key: str
    ) -> Order:
        by_magnitude = architecture.units_by is UnitsBy.MAGNITUDE
        return kept_or_made(
            self._unit_orders,
            f"{key}\n{architecture.units_by}",
            lambda: (
                magnitude_unit_order(backbone) if by_magnitude else unit_order(backbone, measuring_rows(rows))
            ),
            most=ORDERS_KEPT,
        )
