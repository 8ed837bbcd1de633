"""One trial from configuration to report. Knows no database and no queue."""

import gc
import math
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import Measurement, TrialReport, TrialState
from workers.artifacts import save_trial
from workers.backbones import Backbone
from workers.costs import count_trainable, latency_ms, measured
from workers.errors import NotANumber, TrialError
from workers.evaluate import Evaluation, evaluate
from workers.fine_tune import fine_tune
from workers.peft_methods import TrialModules, attached
from workers.resident import ResidentParts
from workers.task_data import TokenisedTask

ALLOCATION_FAILURES = ("DefaultCPUAllocator", "out of memory", "can't allocate memory", "bad_alloc")


def run_trial(
    configuration: TrialConfiguration,
    *,
    resident: ResidentParts,
    artifacts_dir: Path,
    artifacts_path: str,
    report: Callable[[Measurement], None],
) -> TrialReport:
    """Train, measure and save a configuration.

    A configuration that cannot work (out of memory, not a number, no place for a module) gives an
    INFEASIBLE report and leaves nothing behind; whatever else goes wrong is raised.
    """
    try:
        return _run(configuration, resident, artifacts_dir, artifacts_path, report)
    except TrialError as error:
        return TrialReport(state=TrialState.INFEASIBLE, reason=str(error))
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = f"out-of-memory: {str(error).splitlines()[0] if str(error) else 'no memory left'}"[:1000]
        # The traceback holds every tensor of the trial; let it go before the memory is given back.
        del error
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return TrialReport(state=TrialState.INFEASIBLE, reason=reason)


def _run(
    configuration: TrialConfiguration,
    resident: ResidentParts,
    artifacts_dir: Path,
    artifacts_path: str,
    report: Callable[[Measurement], None],
) -> TrialReport:
    backbone = resident.backbone(configuration.backbone)
    task = resident.task(configuration)
    classes = task.answers.outputs
    training = configuration.training
    modules = TrialModules(configuration.peft, backbone=backbone, classes=classes, seed=training.seed).to(
        backbone.device
    )

    evaluations: list[Evaluation] = []

    def after_epoch(epoch: int, train_loss: float) -> None:
        found = evaluate(modules, task.validation, backbone=backbone, classes=classes)
        evaluations.append(found)
        metrics = {"score": found.score, **found.metrics, "loss": found.loss, "train_loss": train_loss}
        report(Measurement(step=epoch, metrics=_finite(metrics)))

    with attached(modules, backbone=backbone):
        with measured(backbone.device) as spending:
            fine_tune(modules, task.train, backbone=backbone, training=training, after_epoch=after_epoch)
        # The last epoch counts, not the best one: choosing among epochs would flatter the score.
        validation = evaluations[-1]
        test = evaluate(modules, task.test, backbone=backbone, classes=classes)
        latency = latency_ms(modules, task.validation, backbone=backbone)
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
        metrics=_finite(metrics),
        test_metrics=_finite({"score": test.score, **test.metrics, "loss": test.loss}),
        artifacts=artifacts,
        provenance=_provenance(configuration, backbone, task),
    )


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    odd = [name for name, value in metrics.items() if not math.isfinite(value)]
    if odd:
        raise NotANumber(f"not-a-number: {', '.join(odd)}")
    return metrics


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in ALLOCATION_FAILURES)


def _provenance(
    configuration: TrialConfiguration, backbone: Backbone, task: TokenisedTask
) -> dict[str, str | int | float]:
    libraries = ("paretune", "torch", "transformers", "tokenizers", "safetensors")
    return {
        **{name: version(name) for name in libraries},
        "python": platform.python_version(),
        "device": str(backbone.device),
        "dtype": str(next(backbone.model.parameters()).dtype),
        "seed": configuration.training.seed,
        "data_sha256": task.sha256,
        **{f"dropped_{reason}": rows for reason, rows in task.dropped.items() if rows},
    }
