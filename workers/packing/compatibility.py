"""Which configurations may share a pack. Knows nothing about tensors."""

from collections.abc import Sequence

from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import Quantisation, Training, TrialConfiguration, canonical
from workers.backbones.loading import Backbone

OF_EACH_TRIAL = ("learning_rate", "warmup_fraction", "weight_decay", "seed")
"""The fields of the training recipe that may differ inside a pack."""

STACKABLE = frozenset({"lora", "serial_adapter", "parallel_adapter", "prefix_tuning"})
"""The modules that a pack can stack; `workers.packing.modules` attaches them."""


def can_pack(configurations: Sequence[TrialConfiguration]) -> bool:
    """Return whether configurations may be trained in one batch.

    They share backbone, task, number of steps and all of the recipe except the fields in
    `OF_EACH_TRIAL`; with folds the seed, too, for another one has other rows. Their modules are serial and
    parallel adapters, prefixes and low-rank updates.
    With a teacher nothing is packed. Nor in 8 bits: LLM.int8 looks for outliers in all rows of a batch, so
    trials would change each other's rounding.
    """
    first = configurations[0]
    if first.quantisation is Quantisation.EIGHT_BIT or first.training.distillation is not None:
        return False
    return all(_common(other) == _common(first) and _has_stackable_modules(other) for other in configurations)


def takes_packs(backbone: Backbone) -> bool:
    """Return whether every row that a layer of this backbone sees belongs to one trial.

    DeBERTa sends its relative positions through the query and key projections too, where a trial's
    low-rank update changes them: they would have to be computed for each trial.
    """
    return backbone.paths.relative_bias is None


def _common(configuration: TrialConfiguration) -> TrialConfiguration:
    """Return a configuration with every field at its default that may differ inside a pack."""
    differing = OF_EACH_TRIAL if configuration.task.folds is None else set(OF_EACH_TRIAL) - {"seed"}
    of_each = {name: Training.model_fields[name].default for name in differing}
    training = configuration.training.model_copy(update=of_each)
    return configuration.model_copy(update={"training": training, "peft": Peft()})


def _has_stackable_modules(configuration: TrialConfiguration) -> bool:
    peft = canonical(configuration).peft
    own, absent = peft.own_modules(), Peft().own_modules()
    return peft.method is PeftMethod.MODULES and all(
        own[name] == absent[name] for name in own.keys() - STACKABLE
    )
