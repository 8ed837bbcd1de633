"""A sub-network is the beginning of an order, put back into the order of the backbone."""

import pytest

from api_schemas.architecture import Architecture
from workers.architecture.sub_network import Orders, SubNetwork, chosen, everything, without

BY_IMPORTANCE = (2, 0, 3, 1)
UNITS = ((2, 0, 1), (0, 1, 2), (1, 2, 0), (2, 1, 0))


@pytest.mark.parametrize(
    ("which", "layers"), [("importance", (0, 2, 3)), ("first", (0, 1, 2)), ("last", (1, 2, 3))]
)
def test_layers_stay_in_the_order_of_the_backbone(which: str, layers: tuple[int, ...]) -> None:
    """Whichever way they are chosen."""
    architecture = Architecture.model_validate({"keep_layers": 3, "which": which})
    assert chosen(architecture, Orders(BY_IMPORTANCE)) == SubNetwork(layers=layers, ffn_units=(None,) * 3)


def test_each_layer_keeps_its_own_best_units() -> None:
    """Of the layers that stay, in ascending order."""
    kept = chosen(Architecture(keep_layers=2, ffn_width=2), Orders(BY_IMPORTANCE, UNITS))
    assert kept == SubNetwork(layers=(0, 2), ffn_units=((0, 2), (1, 2)))


def test_each_group_of_layers_has_its_own_width() -> None:
    """The lower half is wider here, whichever layers of the backbone it has."""
    kept = chosen(Architecture(keep_layers=3, ffn_width_groups=(2, 1)), Orders(BY_IMPORTANCE, UNITS))
    assert kept == SubNetwork(layers=(0, 2, 3), ffn_units=((0, 2), (1, 2), (2,)))
    assert kept.widths == (2, 2, 1)
    assert not kept.is_uniform


def test_each_layer_keeps_its_own_best_heads() -> None:
    """As many in each; without them, a saved sub-network is written as it was before there were any."""
    kept = chosen(Architecture(keep_layers=2, heads=1), Orders(BY_IMPORTANCE, heads=UNITS))
    assert kept.heads == ((2,), (1,))
    assert "heads" not in everything(2).model_dump()


def test_a_smaller_sub_network_is_part_of_a_larger_one() -> None:
    """Both begin the same order."""
    small, large = (
        chosen(Architecture(keep_layers=size, ffn_width=size), Orders(BY_IMPORTANCE, UNITS))
        for size in (1, 2)
    )
    assert set(small.layers) < set(large.layers)
    assert set(small.ffn_units[0] or ()) < set(large.ffn_units[large.layers.index(small.layers[0])] or ())


def test_two_sub_networks_have_two_digests() -> None:
    """What is kept for one of them is not found for the other."""
    assert everything(2).digest == everything(2).digest
    assert len({everything(2).digest, everything(3).digest, without(0, layer_count=3).digest}) == 3
