"""What was kept is drawn layer by layer."""

from xml.etree import ElementTree

import pytest

from api_schemas.architecture import Architecture
from api_schemas.backbones import BackboneShape, HeadCounts, WeightCounts
from paretune.network_drawing import drawing, rows

SHAPE = BackboneShape(
    model_type="llama", layers=4, hidden_size=16, ffn_size=64, query_size=16, key_value_size=16,
    max_positions=64,
    weights=WeightCounts(below=1, each_layer=1, above=1, heads=HeadCounts(size=4, each_layer=1)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "layers", "heads", "units"),
    [
        ({"keep_layers": 2, "which": "last"}, None, [0, 0, 1, 1], [0, 0, 1, 1]),
        ({"keep_layers": 2, "ffn_width": 32}, None, [1, 1, 0, 0], [0.5, 0.5, 0, 0]),
        ({"keep_layers": 2, "ffn_width_groups": [64, 16]}, [1, 3], [0, 1, 0, 1], [0, 1, 0, 0.25]),
        ({"keep_layers": 4, "heads": 1}, None, [0.25] * 4, [1] * 4),
    ],
)
def test_a_row_says_what_stays_of_its_layer(
    architecture: dict[str, object], layers: list[int] | None, heads: list[float], units: list[float]
) -> None:
    """Shares of heads and units; nothing of a layer that is left out."""
    found = rows(Architecture.model_validate(architecture), SHAPE, layers)
    assert [row.heads for row in found] == heads
    assert [row.units for row in found] == units


def test_the_drawing_is_a_picture_with_a_title() -> None:
    """Two bars in a row of each layer, dashed where it is left out, and words for those who hear it."""
    picture = ElementTree.fromstring(drawing(Architecture(keep_layers=3), SHAPE, [0, 1, 3]))  # noqa: S314  our own
    space = "{http://www.w3.org/2000/svg}"
    kinds = [bar.get("class") for bar in picture.iter(f"{space}rect")]
    assert [kinds.count(kind) for kind in ("kept", "whole", "dropped")] == [6, 6, 2]
    assert picture.findtext(f"{space}title") == "keeps the 3 most important of 4 layers"
