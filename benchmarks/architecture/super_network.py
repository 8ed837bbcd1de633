"""How a super-network ranks recorded sub-networks: workers.architecture.super_network on sizes of a grid."""

from collections.abc import Sequence

from api_schemas.architecture import Architecture, WhichLayers
from api_schemas.trial_configuration import TrialConfiguration
from workers.architecture.sub_network import Orders, SubNetwork, chosen
from workers.architecture.super_network import Sizes, evaluations
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedTask
from workers.peft_methods import TrialModules

WAYS = (WhichLayers.IMPORTANCE, WhichLayers.FIRST)


def one_shot_losses(
    backbone: Backbone,
    task: TokenisedTask,
    base: TrialConfiguration,
    networks: Sequence[SubNetwork],
    *,
    orders: Orders,
    sizes: Sequence[tuple[int, int]],
) -> list[float]:
    """Return the validation loss of each network in a super-network, trained as `base` says.

    `sizes` are the numbers of layers and units that are drawn, the smallest first; parts begin the orders.
    """
    cut = [
        chosen(Architecture(keep_layers=layers, ffn_width=units, which=which), orders)
        for layers, units in sizes
        for which in WAYS
    ]
    modules = TrialModules(
        base.peft, backbone=backbone, classes=task.answers.outputs, seed=base.training.seed
    )
    found = evaluations(
        modules,
        networks,
        training=base.training,
        backbone=backbone,
        task=task,
        sizes=Sizes(cut[: len(WAYS)], cut),
    )
    return [one.loss for one in found]
