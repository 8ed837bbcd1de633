"""One trial from configuration to report. Knows no database and no queue."""

import gc
import math
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord, Measurement, TrialReport, TrialState
from workers.artifacts import save_trial
from workers.backbones import Backbone
from workers.costs import Spending, count_trainable, latency_ms, measured
from workers.errors import NotANumber, TrialError
from workers.evaluate import Evaluation, evaluate
from workers.fine_tune import fine_tune
from workers.memory import training_shape
from workers.peft_methods import TrialModules, attached
from workers.resident import ResidentParts
from workers.task_data import TokenisedTask

HALVINGS_ALLOWED = 1
"""How often a trial that ran out of memory is tried again with half as much at once."""

ALLOCATION_FAILURES = ("DefaultCPUAllocator", "out of memory", "can't allocate memory", "bad_alloc")


def run_trial(
    configuration: TrialConfiguration,
    *,
    resident: ResidentParts,
    artifacts_dir: Path,
    artifacts_path: str | None,
    report: Callable[[Measurement], None],
) -> TrialReport:
    """Train, measure and save a configuration; nothing is saved where `artifacts_path` is None.

    A configuration that cannot work (out of memory, not a number, no place for a module) gives an
    INFEASIBLE report and leaves nothing behind; whatever else goes wrong is raised.
    """
    try:
        for halvings in range(HALVINGS_ALLOWED + 1):
            reason = ""
            try:
                return _run(configuration, resident, artifacts_dir, artifacts_path, report, 2**halvings)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = f"out-of-memory: {str(error).splitlines()[0] if str(error) else 'no memory left'}"[
                    :1000
                ]
                # The traceback holds every tensor of the trial; let it go before memory is given back.
                del error
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    except TrialError as error:
        reason = str(error)
    return TrialReport(state=TrialState.INFEASIBLE, reason=reason)


def _run(
    configuration: TrialConfiguration,
    resident: ResidentParts,
    artifacts_dir: Path,
    artifacts_path: str | None,
    report: Callable[[Measurement], None],
    micro_batch_divisor: int,
) -> TrialReport:
    backbone = resident.backbone(configuration.backbone)
    classes = resident.task(configuration).answers.outputs
    training = configuration.training
    modules = TrialModules(configuration.peft, backbone=backbone, classes=classes, seed=training.seed).to(
        backbone.device
    )
    # Outside the measured part: what earlier trials left in the cache must not change this one's cost.
    task = resident.task_from(configuration, layer=modules.first_layer)
    needs = training_shape(
        trained=count_trainable(modules), first_layer=modules.first_layer, split=task.train, backbone=backbone
    )
    micro_batch_tokens = (
        resident.memory.micro_batch_tokens(needs, backbone=backbone, batch_size=training.batch_size)
        // micro_batch_divisor
    )
    evaluations: list[Evaluation] = []

    def measure(number: int, train_loss: float) -> None:
        found = evaluate(modules, task.validation, backbone=backbone, classes=classes)
        evaluations.append(found)
        metrics = {"score": found.score, **found.metrics, "loss": found.loss, "train_loss": train_loss}
        report(Measurement(step=number, metrics=finite(metrics)))

    with attached(modules, backbone=backbone):
        with measured(backbone.device) as spending:
            fine_tune(
                modules,
                task.train,
                backbone=backbone,
                training=training,
                micro_batch_tokens=micro_batch_tokens,
                measure=measure,
            )
        resident.memory.learn(
            needs,
            backbone=backbone,
            rows=min(training.batch_size, max(1, micro_batch_tokens // needs.longest)),
            observed_bytes=spending.peak_memory_bytes - spending.memory_before_bytes,
        )
        # The last epoch counts, not the best one: choosing among epochs would flatter the score.
        validation = evaluations[-1]
        test = evaluate(modules, task.test, backbone=backbone, classes=classes)
        latency = latency_ms(modules, resident.task(configuration).validation, backbone=backbone)
    return trained_report(
        configuration,
        modules,
        backbone=backbone,
        task=task,
        validation=validation,
        test=test,
        latency=latency,
        spending=spending,
        micro_batch_tokens=micro_batch_tokens,
        artifacts_dir=artifacts_dir,
        artifacts_path=artifacts_path,
    )


def trained_report(
    configuration: TrialConfiguration,
    modules: TrialModules,
    *,
    backbone: Backbone,
    task: TokenisedTask,
    validation: Evaluation,
    test: Evaluation,
    latency: float,
    spending: Spending,
    micro_batch_tokens: int,
    artifacts_dir: Path,
    artifacts_path: str | None,
) -> TrialReport:
    """Save what a trial trained, and say how it scored and what it cost.

    Raises:
        NotANumber: If a metric is not finite.
    """
    metrics = {
        "score": validation.score,
        **validation.metrics,
        "loss": validation.loss,
        "collapsed": float(validation.collapsed),
        "trainable_parameters": float(count_trainable(modules)),
        "latency_ms": latency,
        "peak_memory_bytes": float(spending.peak_memory_bytes),
        "training_seconds": spending.seconds,
    }
    artifacts: tuple[ArtifactRecord, ...] = ()
    if artifacts_path is not None:
        artifacts = save_trial(
            modules,
            configuration,
            backbone=backbone,
            answers=task.answers,
            artifacts_dir=artifacts_dir,
            path=artifacts_path,
        )
    return TrialReport(
        state=TrialState.SUCCEEDED,
        metrics=finite(metrics),
        test_metrics=finite({"score": test.score, **test.metrics, "loss": test.loss}),
        artifacts=artifacts,
        provenance=_provenance(configuration, backbone, task, micro_batch_tokens),
    )


def finite(metrics: dict[str, float]) -> dict[str, float]:
    """Give metrics back as they are.

    Raises:
        NotANumber: If one is not a finite number.
    """
    odd = [name for name, value in metrics.items() if not math.isfinite(value)]
    if odd:
        raise NotANumber(f"not-a-number: {', '.join(odd)}")
    return metrics


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that no memory was left, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in ALLOCATION_FAILURES)


def _provenance(
    configuration: TrialConfiguration, backbone: Backbone, task: TokenisedTask, micro_batch_tokens: int
) -> dict[str, str | int | float]:
    libraries = ("paretune", "torch", "transformers", "tokenizers", "safetensors", "peft")
    return {
        **{name: version(name) for name in libraries},
        "python": platform.python_version(),
        "device": str(backbone.device),
        "dtype": str(next(backbone.model.parameters()).dtype),
        "seed": configuration.training.seed,
        "data_sha256": task.sha256,
        "micro_batch_tokens": micro_batch_tokens,
        "starts_at_layer": 0 if task.train.activations is None else task.train.activations.layer,
        **{f"dropped_{reason}": rows for reason, rows in task.dropped.items() if rows},
    }
