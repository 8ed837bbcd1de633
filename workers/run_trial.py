"""One trial from configuration to report. Knows no database and no queue."""

import gc
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import structlog
import torch

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactKind, ArtifactRecord, Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import UPLOAD_PATIENCE_SECONDS, ArtifactStore
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedTask
from workers.errors import NotANumber, TrialError, TrialNotSaved, is_out_of_memory
from workers.fine_tune import StepCount, fine_tune
from workers.interruption import TrialStopped, interruption
from workers.measuring.costs import Spending, count_trainable, known_costs, latency_ms, measured
from workers.measuring.evaluate import Evaluation, evaluate
from workers.measuring.memory import MemoryModel, TrainingShape, training_shape
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached
from workers.saving.artifacts import save_trial, tensor_bytes
from workers.saving.disk_space import require_disk_space

log = structlog.get_logger(__name__)

HALVINGS_ALLOWED = 1
"""How often a trial that ran out of memory is tried again with half as much at once."""

CHECKPOINT_PATIENCE_SECONDS = 10.0
"""For a store that is away: the lease of a trial that was stopped is not renewed."""

WHILE_TRAINING = ("share", "train_loss")
"""What a measurement says that a finished trial does not."""


def run_trial(
    configuration: TrialConfiguration,
    *,
    cache: ModelCache,
    store: ArtifactStore,
    artifacts_path: str | None,
    report: Callable[[Measurement], bool],
) -> TrialReport:
    """Train, measure and save a configuration; nothing is saved where `artifacts_path` is None.

    A configuration that cannot work (out of memory, not a number, no place for a module) gives an
    INFEASIBLE report and leaves nothing behind; whatever else goes wrong is raised. `report` gets each
    measurement and says whether to stop there.
    """
    try:
        for halvings in range(HALVINGS_ALLOWED + 1):
            reason = ""
            try:
                return _run(configuration, cache, store, artifacts_path, report, 2**halvings)
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


@dataclass(frozen=True)
class ReadyTrial:
    """A trial with everything that training needs, on the device."""

    configuration: TrialConfiguration
    backbone: Backbone
    task: TokenisedTask
    modules: TrialModules
    needs: TrainingShape
    micro_batch_tokens: int
    latency_ms: float

    @property
    def outputs(self) -> int:
        """How many outputs the head has."""
        return self.task.answers.outputs


def _run(
    configuration: TrialConfiguration,
    cache: ModelCache,
    store: ArtifactStore,
    artifacts_path: str | None,
    report: Callable[[Measurement], bool],
    micro_batch_divisor: int,
) -> TrialReport:
    trial = _ready(configuration, cache, micro_batch_divisor=micro_batch_divisor)
    if artifacts_path is not None:
        require_disk_space(tensor_bytes([trial.modules]), store=store)
    measurements: list[Measurement] = []
    count = StepCount(interruption.held_back)
    try:
        with attached(trial.modules, backbone=trial.backbone):
            stopped = _train(trial, cache.memory, measurements, report, count)
            # The last measurement counts, not the best one: choosing among them would flatter the score.
            metrics = measurements[-1].metrics
            if stopped:
                return TrialReport(
                    state=TrialState.STOPPED_EARLY, metrics=metrics, provenance=provenance(trial)
                )
            test = evaluate(trial.modules, trial.task.test, backbone=trial.backbone, classes=trial.outputs)
        return finished_report(trial, metrics, test=test, store=store, artifacts_path=artifacts_path)
    except TrialStopped as stop:
        keep_checkpoint(stop, trial, step=count.done, store=store, artifacts_path=artifacts_path)
        raise


def keep_checkpoint(
    stop: TrialStopped, trial: ReadyTrial, *, step: int, store: ArtifactStore, artifacts_path: str | None
) -> None:
    """Save what a trial had trained when it was stopped, if anybody wants it; `stop` takes it along."""
    if not stop.keeps_checkpoint or not step or artifacts_path is None:
        return
    try:
        records = _save(trial, store, artifacts_path, patience_seconds=CHECKPOINT_PATIENCE_SECONDS)
    except TrialNotSaved as error:
        log.warning("checkpoint not kept", reason=str(error))
        return
    marks = {"kind": ArtifactKind.CHECKPOINT, "step": step}
    stop.checkpoints[artifacts_path] = tuple(record.model_copy(update=marks) for record in records)


def _save(
    trial: ReadyTrial, store: ArtifactStore, path: str, *, patience_seconds: float
) -> tuple[ArtifactRecord, ...]:
    return save_trial(
        trial.modules,
        trial.configuration,
        backbone=trial.backbone,
        answers=trial.task.answers,
        store=store,
        path=path,
        patience_seconds=patience_seconds,
    )


def finished_report(
    trial: ReadyTrial,
    metrics: dict[str, float],
    *,
    test: Evaluation,
    store: ArtifactStore,
    artifacts_path: str | None,
) -> TrialReport:
    """Save a trained trial and report its last measurement and its test scores.

    Raises:
        NotANumber: If a test score is not finite.
    """
    test_metrics = finite({"score": test.score, **test.metrics, "loss": test.loss})
    artifacts: tuple[ArtifactRecord, ...] = ()
    if artifacts_path is not None:
        artifacts = _save(trial, store, artifacts_path, patience_seconds=UPLOAD_PATIENCE_SECONDS)
    return TrialReport(
        state=TrialState.SUCCEEDED,
        metrics={name: value for name, value in metrics.items() if name not in WHILE_TRAINING},
        test_metrics=test_metrics,
        artifacts=artifacts,
        provenance=provenance(trial),
    )


def _ready(configuration: TrialConfiguration, cache: ModelCache, *, micro_batch_divisor: int) -> ReadyTrial:
    backbone = cache.backbone(configuration.backbone, configuration.quantisation)
    plain = cache.task(configuration)
    modules = TrialModules(
        configuration.peft,
        backbone=backbone,
        classes=plain.answers.outputs,
        seed=configuration.training.seed,
    ).to(backbone.device)
    # Before training is timed: what earlier trials left in the cache must not change this one's cost.
    task = cache.task_from(configuration, layer=modules.first_layer)
    needs = training_shape(
        trained=count_trainable(modules), first_layer=modules.first_layer, split=task.train, backbone=backbone
    )
    fitting = cache.memory.micro_batch_tokens(
        needs, backbone=backbone, batch_size=configuration.training.batch_size
    )
    with attached(modules, backbone=backbone):
        latency = latency_ms(modules, plain.validation, backbone=backbone)
    return ReadyTrial(
        configuration=configuration,
        backbone=backbone,
        task=task,
        modules=modules,
        needs=needs,
        micro_batch_tokens=fitting // micro_batch_divisor,
        latency_ms=latency,
    )


def _train(
    trial: ReadyTrial,
    memory: MemoryModel,
    measurements: list[Measurement],
    report: Callable[[Measurement], bool],
    count: StepCount,
) -> bool:
    """Fill `measurements`, and say whether the trial was stopped early."""
    backbone, training = trial.backbone, trial.configuration.training
    stops: list[bool] = []

    def measure(share: float, train_loss: float) -> bool:
        found = evaluate(trial.modules, trial.task.validation, backbone=backbone, classes=trial.outputs)
        metrics = {**scores(found), "train_loss": train_loss, **costs(trial, spending, share=share)}
        measurements.append(Measurement(step=len(measurements) + 1, metrics=finite(metrics)))
        stops.append(report(measurements[-1]))
        return stops[-1]

    with measured(backbone.device) as spending:
        fine_tune(
            trial.modules,
            trial.task.train,
            backbone=backbone,
            training=training,
            micro_batch_tokens=trial.micro_batch_tokens,
            measure=measure,
            count=count,
        )
    memory.learn(
        trial.needs,
        backbone=backbone,
        rows=min(training.batch_size, max(1, trial.micro_batch_tokens // trial.needs.longest)),
        observed_bytes=spending.peak_memory_bytes - spending.memory_before_bytes,
    )
    return stops[-1]


def scores(found: Evaluation) -> dict[str, float]:
    """Return what a measurement says about the validation split."""
    return {
        "score": found.score,
        **found.metrics,
        "loss": found.loss,
        "collapsed": float(found.collapsed),
    }


def costs(trial: ReadyTrial, spending: Spending, *, share: float) -> dict[str, float]:
    """Return every cost as it will be at the end: what is not known yet grows in proportion to the steps."""
    return {
        "share": share,
        **known_costs(trial.modules, trial.configuration, shape=trial.backbone.shape),
        "latency_ms": trial.latency_ms,
        "peak_memory_bytes": float(spending.peak_so_far_bytes()),
        "training_seconds": spending.seconds_so_far() / share,
    }


def finite(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics back as they are.

    Raises:
        NotANumber: If one is not a finite number.
    """
    odd = [name for name, value in metrics.items() if not math.isfinite(value)]
    if odd:
        raise NotANumber(f"not-a-number: {', '.join(odd)}")
    return metrics


def provenance(trial: ReadyTrial) -> dict[str, str | int | float]:
    """Return what a trial was run with."""
    libraries = ("paretune", "torch", "transformers", "tokenizers", "safetensors", "peft")
    kept = trial.task.train.activations
    return {
        **{name: version(name) for name in libraries},
        "python": platform.python_version(),
        **_device(trial.backbone.device),
        "dtype": str(next(trial.backbone.model.parameters()).dtype),
        "seed": trial.configuration.training.seed,
        "data_sha256": trial.task.sha256,
        "validation_rows": len(trial.task.validation),
        "micro_batch_tokens": trial.micro_batch_tokens,
        "starts_at_layer": 0 if kept is None else kept.layer,
        **{f"dropped_{reason}": rows for reason, rows in trial.task.dropped.items() if rows},
    }


def _device(device: torch.device) -> dict[str, str]:
    names = {"device_name": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {"device": str(device), **names}
