"""Every metric that is an exact function of a configuration, by name."""

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Metric
from api_schemas.peft.counts import adapter_flops, trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration

BYTES_PER_SCALAR = 4
"""What is trained is kept and saved in float32, whatever the backbone computes in."""


def exact_metrics(
    configuration: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> dict[str, float]:
    """Return what needs no trial. `adapter_bytes` are those of the saved tensors, without file headers."""
    count = trainable_parameters(configuration, shape=shape, classes=classes)
    flops = adapter_flops(configuration, shape=shape)
    exact = {
        Metric.TRAINABLE_PARAMETERS.value: float(count),
        Metric.ADAPTER_BYTES.value: float(BYTES_PER_SCALAR * count),
    }
    return exact if flops is None else {**exact, Metric.ADAPTER_FLOPS.value: float(flops)}
