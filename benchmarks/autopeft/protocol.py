"""What is compared with what: tasks, rows, methods, learning rates, seeds. Decided before any result."""

from collections.abc import Mapping
from dataclasses import dataclass

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Metric, Objective
from api_schemas.presets import expand_preset
from api_schemas.search_space import OrdinalParameter, Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration

BACKBONE = "all-MiniLM-L6-v2"
TASKS = ("rotten-tomatoes", "tweets", "20newsgroups", "imdb")
SOURCE = "rotten-tomatoes"
"""The task whose configurations are transferred to the others."""

TRAIN_ROWS, VALIDATION_ROWS, TEST_ROWS = 480, 400, 1000
EPOCHS, BATCH_SIZE, MAX_LENGTH = 2, 16, 40
SEARCH_TRIALS = 32
"""As many as the manual side has: eight methods at four learning rates."""

RATE = "training.learning_rate"

TUNING_SEED = 0
TEST_SEEDS = (1, 2, 3, 4, 5)
FINAL_SEEDS = (6, 7)
"""With these, members of a front are trained again on validation, as `final_replicates: 2` does."""

FRONT_MEMBERS = 5

SEARCHED_RATES: Mapping[PresetName, tuple[float, ...]] = {
    PresetName.AUTOPEFT: (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    PresetName.LORA: (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
}
"""The searched spaces, each with the rates that it is searched over. The second was added, with the rate
that the head alone had been best at, once the results of the first were known."""

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
WIDE_RATES = (1e-4, 3e-4, 1e-3, 3e-3)
"""Wide parallel adapters want smaller steps than small modules do."""

HEAD_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
"""A linear head alone wants larger steps than modules do."""

FULL_RATES = (3e-5, 1e-4, 3e-4, 1e-3)
"""The pretrained weights themselves want smaller ones."""

OBJECTIVES = (
    Objective.model_validate({"metric": Metric.SCORE, "direction": "maximize"}),
    Objective.model_validate({"metric": Metric.TRAINABLE_PARAMETERS, "direction": "minimize"}),
)


@dataclass(frozen=True)
class Method:
    """A configuration set by hand: what it changes in the base, and the rates it is tuned over."""

    values: Parameterization
    rates: tuple[float, ...] = RATES
    trains_backbone: bool = False


FULL = "full fine-tuning"
MANUAL: Mapping[str, Method] = {
    "head only": Method({}, rates=HEAD_RATES),
    "BitFit": Method({"peft.method": "bitfit"}),
    "LoRA 8": Method({"peft.lora.rank": 8}),
    # A sixteenth of the width (Pfeiffer and others 2021), half of it (He and others 2022).
    "serial adapter": Method({"peft.serial_adapter.bottleneck_size": 24}),
    "parallel adapter": Method({"peft.parallel_adapter.bottleneck_size": 192}, rates=WIDE_RATES),
    "prefix tuning": Method({"peft.prefix_tuning.length": 10}),
    "MAM": Method(
        {"peft.parallel_adapter.bottleneck_size": 192, "peft.prefix_tuning.length": 30}, rates=WIDE_RATES
    ),
    FULL: Method({}, rates=FULL_RATES, trains_backbone=True),
}


def base_configuration(task: str, *, shape: BackboneShape) -> TrialConfiguration:
    """Return what every trial of a task shares."""
    return TrialConfiguration.model_validate(
        {
            "backbone": BACKBONE,
            "task": {
                "name": task,
                "train_rows": TRAIN_ROWS,
                "validation_rows": VALIDATION_ROWS,
                "test_rows": TEST_ROWS,
            },
            "training": {
                "epochs": EPOCHS, "batch_size": BATCH_SIZE, "max_length": MAX_LENGTH, "seed": TUNING_SEED,
            },
            "peft": {"active_layers": [True] * shape.layers},
        }
    )  # fmt: skip


def search_space(preset: PresetName, *, shape: BackboneShape) -> SearchSpace:
    """Return a preset's space with the learning rate among fixed values."""
    rate = OrdinalParameter(name=RATE, choices=SEARCHED_RATES[preset])
    others = [one for one in expand_preset(preset, shape=shape) if one.name != RATE]
    return SearchSpace(parameters=(*others, rate))
