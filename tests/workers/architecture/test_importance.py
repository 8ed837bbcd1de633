"""Importance follows what parts of a network do, and is the same whenever it is asked for."""

import torch

from api_schemas.tasks import TaskKind
from tests.workers.conftest import tiny
from workers.architecture.importance import (
    ROWS,
    features,
    layer_losses,
    layer_order,
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


def test_every_family_can_be_measured(backbone: Backbone) -> None:
    """Units of all of them; layers where they can be left out."""
    assert sorted(unit_order(backbone, SPLIT)[0]) == list(range(backbone.shape.ffn_size))
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
    assert len(rows) == ROWS
    assert sum(rows.labels) == ROWS / 2  # type: ignore[arg-type]
