"""The benchmark's super-network is trained for a grid of sizes."""

from dataclasses import replace

from api_schemas.trial_configuration import TrialConfiguration
from benchmarks.architecture.super_network import one_shot_losses
from tests.workers.architecture.test_super_network import NETWORKS
from tests.workers.conftest import tiny
from tests.workers.test_distillation import TASK
from workers.architecture.sub_network import Orders

ORDERS = Orders((0, 2, 1), (tuple(range(32)),) * 3)


def test_every_network_gets_a_loss() -> None:
    """Whether or not it is one of the sizes."""
    base = TrialConfiguration.model_validate(
        {
            "backbone": "b", "task": {"name": "t"}, "peft": {"method": "full"},
            "training": {"epochs": 1, "batch_size": 6},
        }
    )  # fmt: skip
    bert, task = tiny("bert"), replace(TASK, sha256="super")
    losses = one_shot_losses(bert, task, base, NETWORKS, orders=ORDERS, sizes=((1, 8), (3, 32)))
    assert len(set(losses)) == len(NETWORKS)
