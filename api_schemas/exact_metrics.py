"""Every metric that is an exact function of a configuration, by name."""

from functools import partial

from api_schemas import network_costs
from api_schemas.architecture import kept_by_depth
from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Metric
from api_schemas.peft.counts import Configurations, adapter_flops, over_depth, trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration

BYTES_PER_SCALAR = 4
"""What is trained is kept and saved in float32, whatever the backbone computes in."""


def exact_metrics(
    configuration: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> dict[str, float]:
    """Return what needs no trial and is known. `adapter_bytes` are those of the tensors, without headers."""
    count = trainable_parameters(configuration, shape=shape, classes=classes)
    flops = adapter_flops(configuration, shape=shape)
    exact = {
        Metric.TRAINABLE_PARAMETERS.value: float(count),
        Metric.ADAPTER_BYTES.value: float(BYTES_PER_SCALAR * count),
    }
    if flops is not None:
        exact[Metric.ADAPTER_FLOPS.value] = float(flops)
    return {**exact, **_of_the_network(configuration, shape=shape, classes=classes)}


def _of_the_network(
    configuration: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> dict[str, float]:
    if network_costs.network_problem(shape) is not None:
        return {}
    groups = kept_by_depth(shape, configuration.architecture)
    counted = Configurations.of_one(configuration.peft)
    parameters = partial(network_costs.model_parameters, classes=classes)
    operations = partial(network_costs.flops, max_length=configuration.training.max_length)
    return {
        Metric.MODEL_PARAMETERS.value: float(over_depth(parameters, counted, groups)),
        Metric.FLOPS.value: float(over_depth(operations, counted, groups)),
    }
