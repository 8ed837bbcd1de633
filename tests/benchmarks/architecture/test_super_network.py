"""A sub-network inside a super-network computes what it would compute alone."""

from dataclasses import replace

import torch

from api_schemas.trial_configuration import TrialConfiguration
from benchmarks.architecture.super_network import one_shot_losses, only
from tests.workers.architecture.test_extraction import UNITS, hidden
from tests.workers.conftest import tiny, unchanged
from tests.workers.test_distillation import TASK
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import Orders, SubNetwork, everything

SMALL = SubNetwork(layers=(0, 2), ffn_units=(UNITS, None))
ORDERS = Orders((0, 2, 1), (tuple(range(32)),) * 3)


def test_what_is_cut_out_later_is_what_was_trained() -> None:
    """Layers that are left out are skipped, units count as zero, and afterwards all is whole again."""
    with unchanged("bert") as bert:
        whole = hidden(bert.model)
        with only(bert, SMALL):
            inside = hidden(bert.model)
        torch.testing.assert_close(inside, hidden(extracted(bert, SMALL).model))
        assert torch.equal(hidden(bert.model), whole)


def test_every_network_gets_a_loss_and_the_same_again() -> None:
    """From one training; the backbone stays as it was."""
    base = TrialConfiguration.model_validate(
        {
            "backbone": "b", "task": {"name": "t"}, "peft": {"method": "full"},
            "training": {"epochs": 1, "batch_size": 6},
        }
    )  # fmt: skip
    bert, task = tiny("bert"), replace(TASK, sha256="super")
    networks = (everything(3), SMALL)
    losses = [
        one_shot_losses(bert, task, base, networks, orders=ORDERS, sizes=((1, 8), (3, 32))) for _ in range(2)
    ]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 2
