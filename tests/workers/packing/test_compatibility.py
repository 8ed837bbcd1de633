"""Which configurations may share a pack."""

import pytest

from api_schemas.search_space import Parameterization
from api_schemas.tasks import Folds
from api_schemas.trial_configuration import Distillation, TrialConfiguration, patch
from workers.backbones.loading import Backbone
from workers.packing.compatibility import can_pack, takes_packs


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "bert-base-uncased"},
        {"quantisation": "4bit"},
        {"task.train_rows": 31},
        {"training.batch_size": 4},
        {"training.epochs": 3},
        {"training.max_length": 32},
        {"training.measurements_per_epoch": 2},
        {"peft.method": "dora"},
        {"peft.method": "bitfit"},
        {"peft.compacter.bottleneck_size": 4},
        {"peft.scale_shift.on": True},
    ],
)
def test_what_must_be_the_same_keeps_trials_apart(
    small_trial: TrialConfiguration, change: Parameterization
) -> None:
    """Other rows, other steps, or modules that cannot be stacked."""
    assert not can_pack([small_trial, patch(small_trial, change)])


def test_a_backbone_in_eight_bits_is_not_shared(small_trial: TrialConfiguration) -> None:
    """Its outliers are those of a whole batch; in four bits only weights are quantised."""
    assert not can_pack([patch(small_trial, {"quantisation": "8bit"})] * 2)
    training = small_trial.training.model_copy(update={"distillation": Distillation()})
    assert not can_pack([small_trial.model_copy(update={"training": training})] * 2)
    assert can_pack([patch(small_trial, {"quantisation": "4bit"})] * 2)


def test_rates_seeds_and_modules_may_differ(small_trial: TrialConfiguration) -> None:
    """Whatever a trial has to itself inside a batch; a head alone is a trial too."""
    changes: list[Parameterization] = [
        {"training.learning_rate": 0.5, "training.weight_decay": 0.1, "training.warmup_fraction": 0.5},
        {"training.seed": 7},
        {"peft.lora.rank": 2, "peft.prefix_tuning.length": 3, "peft.active_layers.0": True},
        {"peft.method": "head_only"},
    ]
    assert can_pack([small_trial, *(patch(small_trial, change) for change in changes)])


def test_with_folds_a_seed_keeps_trials_apart(small_trial: TrialConfiguration) -> None:
    """Another seed has other rows; the same seed has the same."""
    task = small_trial.task.model_copy(update={"resampling": Folds(folds=2)})
    dealt = small_trial.model_copy(update={"task": task})
    assert not can_pack([dealt, patch(dealt, {"training.seed": 7})])
    assert can_pack([dealt, patch(dealt, {"training.learning_rate": 0.5})])


def test_settings_that_nothing_reads_keep_no_trials_apart(small_trial: TrialConfiguration) -> None:
    """Compacter in no active layer is no Compacter."""
    layers = [4, 0, 0, 0, 0, 0]
    assert can_pack([small_trial, patch(small_trial, {"peft.compacter.by_layer": layers})])


def test_a_backbone_that_projects_positions_takes_no_packs(backbone: Backbone) -> None:
    """DeBERTa's projections see rows that belong to no trial."""
    assert takes_packs(backbone) == (not backbone.name.startswith("deberta"))
