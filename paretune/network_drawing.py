"""What a trial kept of its backbone, as an SVG: a row for each layer, a bar each for heads and units.

Drawn from the architecture and the shape alone; which layers stayed is known once a trial is saved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api_schemas.architecture import Architecture, WhichLayers
from api_schemas.backbones import BackboneShape

ROW, BAR = 16, 11
HEADS_AT, HEADS_WIDE = 44, 64
UNITS_AT, UNITS_WIDE = 120, 176
WIDTH, TOP = 304, 22
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#777}.kept{fill:#0072b2}"
    ".whole{fill:none;stroke:#999}.dropped{fill:none;stroke:#999;stroke-dasharray:3 3}"
    "@media(prefers-color-scheme:dark){.kept{fill:#56b4e9}}"
)


@dataclass(frozen=True)
class Row:
    """A layer of the backbone and the shares of its heads and units that stay; 0 where it is left out."""

    layer: int
    heads: float
    units: float


def rows(
    architecture: Architecture, shape: BackboneShape, layers: Sequence[int] | None = None
) -> tuple[Row, ...]:
    """Return a row for each layer of a backbone of this shape, the lowest first.

    `layers` are those that stay. Where they are not known, the lowest stand for the most important.
    """
    kept = _places(architecture, shape) if layers is None else layers
    heads = 1.0
    if architecture.heads is not None and shape.heads is not None:
        heads = architecture.heads / shape.heads
    shares = [(width or shape.ffn_size) / shape.ffn_size for width in architecture.widths_by_layer()]
    units = dict(zip(kept, shares, strict=True))
    return tuple(
        Row(layer, heads if layer in units else 0.0, units.get(layer, 0.0)) for layer in range(shape.layers)
    )


def drawing(architecture: Architecture, shape: BackboneShape, layers: Sequence[int] | None = None) -> str:
    """Return the drawing, the highest layer on top."""
    found = rows(architecture, shape, layers)
    height = TOP + ROW * len(found)
    words = architecture.words(layers=shape.layers)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img">',
        f"<title>{words}</title><style>{STYLE}</style>",
        f'<text x="{HEADS_AT}" y="13">attention</text><text x="{UNITS_AT}" y="13">feed-forward</text>',
        *(part for place, row in enumerate(reversed(found)) for part in _drawn(row, TOP + ROW * place)),
        "</svg>",
        "",
    ])  # fmt: skip


def _places(architecture: Architecture, shape: BackboneShape) -> range:
    first = shape.layers - architecture.keep_layers if architecture.which is WhichLayers.LAST else 0
    return range(first, first + architecture.keep_layers)


def _drawn(row: Row, y: int) -> Iterator[str]:
    yield f'<text x="32" y="{y + BAR - 2}" text-anchor="end">{row.layer}</text>'
    for at, wide, share in ((HEADS_AT, HEADS_WIDE, row.heads), (UNITS_AT, UNITS_WIDE, row.units)):
        place = f'x="{at}" y="{y}" height="{BAR}"'
        if share:
            yield f'<rect class="kept" {place} width="{share * wide:g}"/>'
        yield f'<rect class="{"whole" if share else "dropped"}" {place} width="{wide}"/>'
