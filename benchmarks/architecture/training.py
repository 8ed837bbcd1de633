"""One training alone on the fixed split of a task, and its scores."""

import time
from typing import Any

from api_schemas.trial_configuration import TrialConfiguration
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedTask
from workers.fine_tune import fine_tune
from workers.measuring.evaluate import evaluate
from workers.peft_methods import TrialModules, attached


def trained(network: Backbone, task: TokenisedTask, base: TrialConfiguration, *, seed: int) -> dict[str, Any]:
    """Train what a configuration says on a network, by a seed; return its scores."""
    classes, started = task.answers.outputs, time.process_time()
    modules = TrialModules(base.peft, backbone=network, classes=classes, seed=seed)
    training = base.training.model_copy(update={"seed": seed})
    with attached(modules, backbone=network):
        fine_tune(modules, task.train, backbone=network, training=training, measure=lambda *_: False)
        validation, test = (
            evaluate(modules, split, backbone=network, classes=classes)
            for split in (task.validation, task.test)
        )
    return {
        "seed": seed,
        "validation": round(validation.score, 4),
        "test": round(test.score, 4),
        "test_loss": round(test.loss, 4),
        "cpu_seconds": round(time.process_time() - started, 1),
    }
