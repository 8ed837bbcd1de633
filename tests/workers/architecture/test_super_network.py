"""A sub-network inside a super-network computes what it would compute alone."""

from dataclasses import replace

import pytest
import torch

from api_schemas.trial_configuration import TrialConfiguration
from tests.workers.architecture.test_extraction import HEADS, UNITS, hidden
from tests.workers.conftest import tiny, unchanged
from tests.workers.test_distillation import TASK
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import SubNetwork, everything
from workers.architecture.super_network import Sizes, evaluations, only
from workers.peft_methods import TrialModules

SMALL = SubNetwork(layers=(0, 2), ffn_units=(UNITS, None))
NETWORKS = (everything(3), SMALL)
SIZES = Sizes(smallest=[SMALL], all=NETWORKS)
SHALLOW = ("bert", "mpnet", "distilbert", "gpt2", "qwen3")


def recipe(**peft: object) -> TrialConfiguration:
    return TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": peft, "training": {"epochs": 1, "batch_size": 6}}
    )


@pytest.mark.parametrize("kind", SHALLOW)
def test_what_is_cut_out_later_is_what_was_trained(kind: str) -> None:
    """Layers that are left out are skipped, units count as zero, and afterwards all is whole again."""
    with unchanged(kind) as shared:
        whole = hidden(shared.model)
        with only(shared, SMALL):
            inside = hidden(shared.model)
        torch.testing.assert_close(inside, hidden(extracted(shared, SMALL).model))
        assert torch.equal(hidden(shared.model), whole)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_heads_that_are_left_out_add_nothing(kind: str) -> None:
    """As in the network that is cut, with its heads in groups or with its layers' own position bias."""
    fewer = SubNetwork(layers=(0, 1, 2), ffn_units=(None, UNITS, None), heads=HEADS[kind])
    with unchanged(kind) as shared:
        with only(shared, fewer):
            inside = hidden(shared.model)
        with only(shared, fewer.model_copy(update={"ffn_units": (None,) * 3})):
            with_all_units = hidden(shared.model)
        alone = extracted(shared, fewer.model_copy(update={"ffn_units": (None,) * 3}))
        torch.testing.assert_close(with_all_units, hidden(alone.model))
        assert not torch.allclose(inside, with_all_units)


@pytest.mark.parametrize("peft", [{"method": "full"}, {"lora": {"rank": 2}}], ids=["full", "lora"])
def test_every_network_is_scored_and_the_same_again(peft: dict[str, object]) -> None:
    """From one training, whose batches may be run in parts; the backbone stays as it was."""
    bert, task, base = tiny("bert"), replace(TASK, sha256="super"), recipe(**peft)
    before = {name: tensor.clone() for name, tensor in bert.model.state_dict().items()}
    losses = []
    for tokens in (None, None, 8):
        modules = TrialModules(base.peft, backbone=bert, classes=task.answers.outputs, seed=0)
        found = evaluations(
            modules,
            NETWORKS,
            training=base.training,
            backbone=bert,
            task=task,
            sizes=SIZES,
            micro_batch_tokens=tokens,
        )
        losses.append([one.loss for one in found])
    assert losses[0] == losses[1]
    assert losses[0] == pytest.approx(losses[2], rel=1e-3)
    assert losses[0][0] != losses[0][1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in bert.model.state_dict().items())
