"""A module that makes any training diverge; no request may be so large, so it is made past validation."""

from api_schemas.peft.registry import Peft
from api_schemas.trial_configuration import TrialConfiguration


def diverging_peft(*, scaling: float) -> Peft:
    """Give a parallel adapter of two columns whose output is as many times as large."""
    peft = Peft.model_validate({"parallel_adapter": {"bottleneck_size": 2}})
    assert peft.parallel_adapter is not None
    adapter = peft.parallel_adapter.model_copy(update={"scaling": scaling})
    return peft.model_copy(update={"parallel_adapter": adapter})


def diverging(configuration: TrialConfiguration) -> TrialConfiguration:
    """Give the configuration with a module and a learning rate that overflow single precision."""
    training = configuration.training.model_copy(update={"learning_rate": 1.0})
    adapter = diverging_peft(scaling=1e38).parallel_adapter
    peft = configuration.peft.model_copy(update={"parallel_adapter": adapter})
    return configuration.model_copy(update={"peft": peft, "training": training})
