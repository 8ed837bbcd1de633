"""Which configurations may share a pack. Knows nothing about tensors."""

from collections.abc import Sequence

from api_schemas.peft import Compacter, ScaleShift
from api_schemas.peft_methods import PeftMethod
from api_schemas.trial_configuration import Training, TrialConfiguration, canonical
from workers.backbones import Backbone

OF_EACH_TRIAL = ("learning_rate", "warmup_fraction", "weight_decay", "seed")
"""What of the recipe may differ inside a pack."""


def can_pack(configurations: Sequence[TrialConfiguration]) -> bool:
    """Say whether configurations may be trained in one batch.

    They share backbone, task, number of steps and everything else of the recipe but what is in
    `OF_EACH_TRIAL`; their modules are serial and parallel adapters, prefixes and low-rank updates.
    """
    first = configurations[0]
    return all(
        (other.backbone, other.task) == (first.backbone, first.task)
        and _common(other.training) == _common(first.training)
        and _has_stackable_modules(other)
        for other in configurations
    )


def takes_packs(backbone: Backbone) -> bool:
    """Say whether every row that a layer of this backbone sees belongs to one trial.

    DeBERTa sends its relative positions through the query and key projections too, where a trial's
    low-rank update changes them: they would have to be computed for each trial.
    """
    return backbone.paths.relative_bias is None


def _common(training: Training) -> Training:
    return training.model_copy(update={name: Training.model_fields[name].default for name in OF_EACH_TRIAL})


def _has_stackable_modules(configuration: TrialConfiguration) -> bool:
    peft = canonical(configuration).peft
    left_out = (peft.compacter, peft.scale_shift) == (Compacter(), ScaleShift())
    return peft.method is PeftMethod.MODULES and left_out
