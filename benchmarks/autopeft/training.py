"""One training with the worker's own loop, and full fine-tuning with the same loop.

Full fine-tuning is here what it was when these trials were recorded, before the method `full`: a copy of the
backbone is trained beside the head.
"""

import copy
import platform
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from api_schemas.trial_configuration import TrialConfiguration
from workers.backbones.loading import Backbone, freeze
from workers.data.task_data import TokenisedTask
from workers.errors import NotANumber
from workers.fine_tune import fine_tune
from workers.measuring.evaluate import evaluate
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached

LIBRARIES = ("paretune", "torch", "transformers", "tokenizers", "safetensors", "botorch")


@dataclass(frozen=True)
class Outcome:
    """What a training gave. Scores are None where it diverged, or where they were not asked for."""

    validation_score: float | None
    test_score: float | None
    trainable_parameters: int
    seconds: float
    cpu_seconds: float
    provenance: Mapping[str, str | int | float]


def train(
    configuration: TrialConfiguration, *, cache: ModelCache, trains_backbone: bool, tested: bool
) -> Outcome:
    """Train a configuration, measure it after the last step; look at test only if asked to."""
    started, started_cpu = time.perf_counter(), _cpu_seconds()
    backbone = cache.backbone(configuration.backbone)
    plain = cache.task(configuration)
    backbone = thawed(backbone) if trains_backbone else backbone
    modules = TrialModules(
        configuration.peft,
        backbone=backbone,
        classes=plain.answers.outputs,
        seed=configuration.training.seed,
    )
    if trains_backbone:
        modules.add_module("backbone", backbone.model)
        task = plain
    else:
        task = cache.task_from(configuration, layer=modules.first_layer)
    scores = _scores(modules, task, configuration, backbone=backbone, tested=tested)
    return Outcome(
        validation_score=scores[0],
        test_score=scores[1],
        trainable_parameters=sum(one.numel() for one in modules.parameters() if one.requires_grad),
        seconds=round(time.perf_counter() - started, 2),
        cpu_seconds=round(_cpu_seconds() - started_cpu, 2),
        provenance={
            **{name: version(name) for name in LIBRARIES},
            "python": platform.python_version(),
            "device": str(backbone.device),
            "data_sha256": plain.sha256,
        },
    )


def thawed(backbone: Backbone) -> Backbone:
    """Copy a backbone and let all of it be trained but the pooler, which nothing reads."""
    fresh = freeze(
        copy.deepcopy(backbone.model), backbone.tokenizer, name=backbone.name, device=backbone.device
    )
    for name, parameter in fresh.model.named_parameters():
        parameter.requires_grad_("pooler" not in name)
    return fresh


def _scores(
    modules: TrialModules,
    task: TokenisedTask,
    configuration: TrialConfiguration,
    *,
    backbone: Backbone,
    tested: bool,
) -> tuple[float | None, float | None]:
    classes = task.answers.outputs
    with attached(modules, backbone=backbone):
        try:
            fine_tune(
                modules,
                task.train,
                backbone=backbone,
                training=configuration.training,
                measure=lambda _, __: False,
            )
            validation = evaluate(modules, task.validation, backbone=backbone, classes=classes).score
            test = evaluate(modules, task.test, backbone=backbone, classes=classes).score if tested else None
        except NotANumber:
            return None, None
    return validation, test


def _cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
