"""Orders of importance and extracted sub-networks that a worker keeps between trials.

An order is found once for each backbone and task; a trial then pays for cutting weights alone.
"""

from api_schemas.architecture import Architecture, UnitsBy, WhichLayers
from workers.architecture.extraction import extracted
from workers.architecture.importance import (
    head_order,
    layer_order,
    magnitude_unit_order,
    measuring_rows,
    unit_order,
)
from workers.architecture.sub_network import Orders, SubNetwork, chosen
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit
from workers.recently_used import kept_or_made

NETWORKS_KEPT = 2
ORDERS_KEPT = 8

Order = tuple[tuple[int, ...], ...]
"""For each layer of a backbone."""


class SubNetworkCache:
    """Cuts sub-networks on first use and keeps the most recently used ones."""

    def __init__(self) -> None:
        self._networks: dict[tuple[str, str], Backbone] = {}
        self._layer_orders: dict[str, tuple[int, ...]] = {}
        self._unit_orders: dict[str, Order] = {}
        self._head_orders: dict[str, Order] = {}

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
            lambda: extracted(
                backbone, self.sub_network(architecture, backbone=backbone, rows=rows, key=key)
            ),
            most=NETWORKS_KEPT,
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
