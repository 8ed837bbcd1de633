"""Losses of single cuts, and their sum."""

import pytest
import torch

from benchmarks.architecture.block_scores import SHARES, BlockScores, block_scores, narrowed_to
from tests.workers.architecture.test_importance import SPLIT
from tests.workers.conftest import tiny
from workers.architecture.extraction import extracted
from workers.architecture.importance import features, unit_order
from workers.architecture.linear_probe import unexplained
from workers.architecture.sub_network import SubNetwork, everything, without

SCORES = BlockScores(
    whole=0.5, without_layer=(0.9, 0.6), narrowed=({1.0: 0.5, 0.5: 0.6}, {1.0: 0.5, 0.5: 0.7}), ffn_size=4
)


@pytest.mark.parametrize(
    ("kept", "loss"),
    [
        (everything(2), 0.5),
        (without(1, layer_count=2), 0.6),
        (SubNetwork(layers=(0, 1), ffn_units=((0, 1), (2, 3))), 0.8),
        (SubNetwork(layers=(1,), ffn_units=((0, 1, 3),)), 1.0),
    ],
    ids=["everything", "a layer less", "half the width", "both, between two widths"],
)
def test_what_each_cut_costs_is_added_up(kept: SubNetwork, loss: float) -> None:
    """Widths that were not measured lie between those that were."""
    assert SCORES.predicted_loss(kept) == pytest.approx(loss)


def test_every_cut_is_measured_alone() -> None:
    """With all units left it is the whole network; the network is as before afterwards."""
    bert = tiny("bert")
    units = unit_order(bert, SPLIT)
    scores = block_scores(bert, SPLIT, units=units)
    assert scores.whole == unexplained(features(bert, SPLIT), SPLIT)
    assert [set(losses) for losses in scores.narrowed] == [{1.0, *SHARES}] * 3
    assert len(scores.without_layer) == 3


def test_a_narrowed_block_is_a_cut_one() -> None:
    """Zeros stand for units that are taken out: only then may the sizes of layers differ."""
    bert = tiny("bert")
    units = tuple(range(0, bert.shape.ffn_size, 3))
    every = tuple(range(bert.shape.ffn_size))
    smaller = extracted(bert, SubNetwork(layers=(0, 1, 2), ffn_units=(units,) * 3))
    with narrowed_to(bert, 0, units), narrowed_to(bert, 1, units), narrowed_to(bert, 2, units):
        zeroed = features(bert, SPLIT)
    torch.testing.assert_close(zeroed, features(smaller, SPLIT))
    with narrowed_to(bert, 0, every):
        assert torch.equal(features(bert, SPLIT), features(bert, SPLIT))
