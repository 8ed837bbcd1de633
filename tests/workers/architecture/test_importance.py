"""Importance follows what parts of a network do, and is the same whenever it is asked for."""

import torch

from api_schemas.architecture import MEASURING_ROWS
from api_schemas.tasks import TaskKind
from tests.workers.conftest import tiny, unchanged
from workers.architecture.importance import (
    features,
    head_order,
    head_sizes,
    layer_losses,
    layer_order,
    magnitude_unit_order,
    measuring_rows,
    unit_order,
    unit_sizes,
)
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit

IDS = tuple(tuple(5 + (row * 7 + place * place) % 40 for place in range(3 + row % 4)) for row in range(40))
SPLIT = TokenisedSplit(ids=IDS, labels=tuple(row % 2 for row in range(40)))


def test_a_layer_that_does_nothing_comes_last() -> None:
    """What is added to the residual stream is set to zero: leaving the layer out changes no answer."""
    llama = tiny("llama")
    with torch.no_grad():
        for role in ("attention_output", "ffn_out"):
            llama.part(1, role).get_parameter("weight").zero_()
    answers = features(llama, SPLIT)[:, 0].tolist()
    split = TokenisedSplit(ids=IDS, labels=tuple(answers), kind=TaskKind.REGRESSION)
    assert layer_order(llama, split)[-1] == 1


def test_a_unit_that_is_never_read_comes_last() -> None:
    """However active it is."""
    bert = tiny("bert")
    with torch.no_grad():
        bert.part(2, "ffn_out").get_parameter("weight")[:, 7] = 0.0
    assert unit_order(bert, SPLIT)[2][-1] == 7


def test_the_size_of_a_unit_is_what_it_adds_to_real_tokens(bert: Backbone) -> None:
    """Rows one by one, without padding, give the same as batches do."""
    read: list[torch.Tensor] = []
    handle = bert.part(0, "ffn_out").register_forward_pre_hook(lambda _, inputs: read.append(inputs[0][0]))
    with torch.inference_mode():
        for ids in IDS:
            bert.model(input_ids=torch.tensor([ids]))
    handle.remove()
    activations = torch.cat(read)
    added = activations[:, 4].unsqueeze(1) * bert.part(0, "ffn_out").get_parameter("weight")[:, 4]
    expected = added.square().sum(dim=1).mean()
    torch.testing.assert_close(unit_sizes(bert, SPLIT)[0, 4], expected)


def test_the_size_of_a_head_is_what_it_adds_to_real_tokens(llama: Backbone) -> None:
    """Rows one by one, without padding, give the same as batches do."""
    read: list[torch.Tensor] = []
    reader = llama.part(0, "attention_output")
    handle = reader.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0][0]))
    with torch.inference_mode():
        for ids in IDS:
            llama.model(input_ids=torch.tensor([ids]))
    handle.remove()
    added = torch.cat(read)[:, 4:8] @ reader.get_parameter("weight")[:, 4:8].T
    torch.testing.assert_close(head_sizes(llama, SPLIT)[0, 1], added.square().sum(dim=1).mean())


def test_grouped_heads_come_in_rounds(llama: Backbone) -> None:
    """The best of each group first, so that the first two, of two groups, leave one of each."""
    sizes = head_sizes(llama, SPLIT)
    for of_layer, order in zip(sizes.tolist(), head_order(llama, SPLIT), strict=True):
        assert sorted(order) == [0, 1, 2, 3]
        assert {order[0] // 2, order[1] // 2} == {0, 1}
        assert of_layer[order[0]] >= of_layer[order[2]]


def test_layers_that_share_a_position_bias_have_one_order_of_heads() -> None:
    """A column of T5's table belongs to the heads of one number in all layers."""
    with unchanged("t5") as t5:
        orders = head_order(t5, SPLIT)
        sizes = head_sizes(t5, SPLIT).sum(dim=0)
    assert len(set(orders)) == 1
    assert orders[0] == tuple(sizes.argsort(descending=True).tolist())


def test_every_family_can_be_measured(backbone: Backbone) -> None:
    """Units of all of them; layers where they can be left out."""
    for units in (unit_order(backbone, SPLIT), magnitude_unit_order(backbone)):
        assert sorted(units[0]) == list(range(backbone.shape.ffn_size))
    assert torch.isfinite(features(backbone, SPLIT)).all()


def test_the_same_rows_give_the_same_order(bert: Backbone) -> None:
    """To the last bit, whatever the global random state."""
    first = layer_losses(bert, SPLIT)
    torch.manual_seed(99)
    assert layer_losses(bert, SPLIT) == first


def test_no_more_rows_are_read_than_are_needed() -> None:
    """Evenly spaced, so that data sorted by label is not read for one label alone."""
    long = TokenisedSplit(ids=((1,),) * 5000, labels=(0,) * 2500 + (1,) * 2500)
    rows = measuring_rows(long)
    assert len(rows) == MEASURING_ROWS
    assert sum(rows.labels) == MEASURING_ROWS / 2  # type: ignore[arg-type]
