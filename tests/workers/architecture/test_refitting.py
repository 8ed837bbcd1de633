"""What stays of a feed-forward block is fitted to what the whole block puts out."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.architecture.test_importance import SPLIT
from tests.workers.conftest import unchanged
from workers.architecture import refitting
from workers.architecture.extraction import extracted
from workers.architecture.refitting import (
    PRIOR_TOKENS,
    layer_groups,
    least_squares,
    refitted,
    second_moments,
)
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import Backbone

UNITS = (0, 3, 4, 9, 17, 30)
LAYERS = (0, 1, 2)
NARROW = SubNetwork(layers=LAYERS, ffn_units=(UNITS,) * 3)


def moments_of(activations: Tensor) -> Tensor:
    with_one = torch.cat([activations, torch.ones(len(activations), 1, dtype=torch.float64)], dim=1)
    return with_one.T @ with_one


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@contextmanager
def recorded(backbone: Backbone) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Keep what the first block's reader reads and puts out."""
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((inputs[0][0], output[0]))

    handle = backbone.part(0, "ffn_out").register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def read_row_by_row(backbone: Backbone) -> tuple[Tensor, Tensor]:
    """Return what the first block's reader reads and puts out for each token, without any padding."""
    with recorded(backbone) as seen, torch.inference_mode():
        for ids in SPLIT.ids:
            backbone.model(input_ids=torch.tensor([ids]))
    return torch.cat([read for read, _ in seen]), torch.cat([put_out for _, put_out in seen])


def test_a_block_without_a_bias_gets_no_constant() -> None:
    """It would have no place to stand in."""
    _, constant = least_squares(drawn(4, 9), (1, 2, 5), moments=moments_of(drawn(50, 9)), has_bias=False)
    assert constant.tolist() == [0.0] * 4


def test_units_that_are_silent_leave_a_finite_fit() -> None:
    """On rows where none of the kept units says anything, there is nothing to fit."""
    activations = drawn(50, 9)
    activations[:, [1, 2]] = 0.0
    weight = drawn(4, 9)
    fitted, _ = least_squares(weight, (1, 2), moments=moments_of(activations), has_bias=True)
    torch.testing.assert_close(fitted, weight[:, [1, 2]])


def test_few_tokens_change_little() -> None:
    """On tokens that it has not seen, a fit on fewer of them than units stay is not worse than none."""
    mixing, weight, kept = drawn(40, 40), drawn(20, 40), range(30)
    held = drawn(500, 40) @ mixing
    seen = torch.randn(25, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64) @ mixing
    fitted, constant = least_squares(weight, kept, moments=moments_of(seen), has_bias=True)

    def error(of_kept: Tensor, constant: Tensor | float) -> float:
        return float((held[:, :30] @ of_kept.T + constant - held @ weight.T).square().sum())

    assert error(fitted, constant) < error(weight[:, :30], 0.0)


def test_all_units_keep_their_weights() -> None:
    """Nothing is lost, so nothing is made up for."""
    weight = drawn(4, 9)
    fitted, constant = least_squares(weight, range(9), moments=moments_of(drawn(50, 9)), has_bias=True)
    torch.testing.assert_close(fitted, weight)
    torch.testing.assert_close(constant, torch.zeros(4, dtype=torch.float64))


def test_the_fit_is_that_of_damped_least_squares() -> None:
    """As NumPy solves it on the rows themselves, with a row for the damping of each unit."""
    activations, weight, kept = drawn(50, 9) + 0.5, drawn(4, 9), [1, 2, 5]
    fitted, constant = least_squares(weight, kept, moments=moments_of(activations), has_bias=True)
    rows = activations[:, kept]
    damping = np.sqrt(PRIOR_TOKENS * float(rows.square().mean()))
    columns = np.block([[rows.numpy(), np.ones((50, 1))], [damping * np.eye(3), np.zeros((3, 1))]])
    targets = np.vstack([(activations @ weight.T).numpy(), damping * weight[:, kept].T.numpy()])
    solved = np.linalg.lstsq(columns, targets)[0]
    np.testing.assert_allclose(fitted, solved[:3].T)
    np.testing.assert_allclose(constant, solved[3])


def test_a_unit_that_others_repeat_costs_nothing() -> None:
    """The units that stay say what it said."""
    activations = drawn(50, 3)
    activations = torch.cat([activations, 2 * activations[:, :1] - activations[:, 1:2] + 3], dim=1)
    weight = drawn(4, 4)
    fitted, constant = least_squares(
        weight, (0, 1, 2), moments=moments_of(activations), has_bias=True, prior_tokens=0.0
    )
    torch.testing.assert_close(activations[:, :3] @ fitted.T + constant, activations @ weight.T)


def test_moments_are_those_of_real_tokens(bert: Backbone) -> None:
    """Rows one by one, without padding, give the same as batches do."""
    read, _ = read_row_by_row(bert)
    found = second_moments(bert, SPLIT, layers=(0, 2))
    assert found.keys() == {0, 2}
    torch.testing.assert_close(found[0], moments_of(read).float())


def test_every_family_comes_nearer_to_the_whole_block(backbone: Backbone) -> None:
    """The first block reads what it read before, so its outputs can be compared."""
    weights = refitted(backbone, NARROW, moments=second_moments(backbone, SPLIT, layers=LAYERS))
    _, whole = read_row_by_row(backbone)
    _, cut = read_row_by_row(extracted(backbone, NARROW))
    _, fitted = read_row_by_row(extracted(backbone, NARROW, refitted=weights))
    assert (fitted - whole).square().sum() < 0.999 * (cut - whole).square().sum()


def test_layers_that_are_gone_or_whole_get_no_weights(bert: Backbone) -> None:
    """Places count the layers that are kept."""
    kept = SubNetwork(layers=(0, 2), ffn_units=(None, UNITS))
    weights = refitted(bert, kept, moments=second_moments(bert, SPLIT, layers=LAYERS))
    assert weights.keys() == {"1.weight", "1.bias"}
    hidden_size = bert.shape.hidden_size
    assert weights["1.weight"].shape == (hidden_size, len(UNITS))
    assert weights["1.bias"].shape == (hidden_size,)


def test_the_backbone_keeps_its_own_weights() -> None:
    """What is fitted belongs to the smaller network alone, biases among it."""
    with unchanged("bert") as bert:
        before = bert.part(0, "ffn_out").get_parameter("bias").clone()
        weights = refitted(bert, NARROW, moments=second_moments(bert, SPLIT, layers=LAYERS))
        smaller = extracted(bert, NARROW, refitted=weights)
        assert torch.equal(smaller.part(0, "ffn_out").get_parameter("bias"), weights["0.bias"])
        assert torch.equal(bert.part(0, "ffn_out").get_parameter("bias"), before)


def test_layers_are_read_in_groups_that_fit(bert: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a block is, one layer at a time is read."""
    assert layer_groups(bert) == ((0, 1, 2),)
    monkeypatch.setattr(refitting, "MOMENTS_BYTES", 2 * 4 * 33**2)
    assert layer_groups(bert) == ((0, 1), (2,))
    monkeypatch.setattr(refitting, "MOMENTS_BYTES", 1)
    assert layer_groups(bert) == ((0,), (1,), (2,))
