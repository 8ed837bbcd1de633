"""One trial from configuration to report: prepare, attach, train, test, save. Knows no database and no queue.

`run_trial` runs a trial alone. The steps themselves stand once, in `run_steps`, which takes the trials of a
pack: one, or with `workers.packing` several that are trained side by side.
"""

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version

import structlog
import torch

from api_schemas.objectives import SCORE_STANDARD_ERROR
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactKind, ArtifactRecord, Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import UPLOAD_PATIENCE_SECONDS, ArtifactStore
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, TokenisedTask
from workers.errors import NotANumber, TrialError, TrialNotSaved
from workers.fine_tune import StepCount, fine_tune
from workers.interruption import TrialStopped, interruption
from workers.measuring.costs import Spending, count_trainable, exact_metrics, latency_ms, measured
from workers.measuring.evaluate import Evaluation, evaluate
from workers.measuring.memory import (
    MemoryModel,
    TrainingShape,
    in_smaller_parts,
    training_shape,
)
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, active_layers, attached, full
from workers.saving.artifacts import save_trial, tensor_bytes
from workers.saving.disk_space import require_disk_space

log = structlog.get_logger(__name__)

CHECKPOINT_PATIENCE_SECONDS = 10.0
"""How long to wait for an unreachable store: the lease of a stopped trial is not renewed."""

WHILE_TRAINING = ("share", "train_loss")
"""What a measurement has and a finished trial has not."""


Measure = Callable[[float, Sequence[float]], bool]
"""Gets the share of the training that is done and each trial's mean loss since the last time."""


@dataclass(frozen=True)
class Trial:
    """A trial to run; nothing is saved where `artifacts_path` is None.

    `report` gets each measurement and returns whether the trial should stop there. Where what can be merged
    is not timed merged anyway, because the trial is of a sub-network, `is_timed_merged` asks for it.
    """

    configuration: TrialConfiguration
    artifacts_path: str | None
    report: Callable[[Measurement], bool]
    is_timed_merged: bool = False


@dataclass
class PreparedTrial:
    """A trial with everything that training needs, on the device, and what was measured so far."""

    trial: Trial
    backbone: Backbone
    task: TokenisedTask
    modules: TrialModules
    needs: TrainingShape
    micro_batch_tokens: int
    latency_ms: float
    measurements: list[Measurement] = field(default_factory=list)
    stopped_early: bool = False

    @property
    def configuration(self) -> TrialConfiguration:
        """What the trial trains, and how."""
        return self.trial.configuration


@dataclass(frozen=True)
class Network:
    """The modules of a pack's trials on their backbone: the steps that differ for one trial and for several.

    `evaluate` gives None for a trial that has ended. `end` makes a trial train no further, and `ended` has
    the reasons, by the trials' numbers in the pack.
    """

    attached: Callable[[], AbstractContextManager[None]]
    train: Callable[[Measure, StepCount], None]
    evaluate: Callable[[TokenisedSplit], Sequence[Evaluation | None]]
    end: Callable[[int, str], None]
    ended: Mapping[int, str]


def run_trial(trial: Trial, *, cache: ModelCache, store: ArtifactStore) -> TrialReport:
    """Train, measure and save a trial alone.

    A configuration that cannot work (out of memory, not a number, no place for a module) gives an
    INFEASIBLE report and leaves nothing behind; other errors are raised.
    """
    try:
        return in_smaller_parts(
            lambda divisor: _run_alone(trial, cache, store, micro_batch_divisor=divisor),
        )
    except TrialError as error:
        return TrialReport(state=TrialState.INFEASIBLE, reason=str(error))


def _run_alone(
    trial: Trial, cache: ModelCache, store: ArtifactStore, *, micro_batch_divisor: int
) -> TrialReport:
    modules = build_modules(trial.configuration, cache)
    layer = modules.first_layer
    task = cache.task_from(trial.configuration, layer=layer)
    backbone = cache.network(trial.configuration)
    needs = training_shape(
        trained=count_trainable(modules),
        first_layer=layer,
        split=task.train,
        backbone=backbone,
        trains_weights=modules.trains_weights,
    )
    tokens = cache.memory.micro_batch_tokens(
        needs, backbone=backbone, batch_size=trial.configuration.training.batch_size
    )
    tokens //= micro_batch_divisor
    one = prepare(trial, modules, cache=cache, layer=layer, needs=needs, micro_batch_tokens=tokens)
    [report] = run_steps([one], _lone_network(one), memory=cache.memory, store=store)
    return report


def run_steps(
    pack: Sequence[PreparedTrial], network: Network, *, memory: MemoryModel, store: ArtifactStore
) -> list[TrialReport]:
    """Attach, train, measure, test and save the trials of a pack, and return their reports.

    A trial that a signal stops leaves a checkpoint if it still has its lease.

    Raises:
        DiskFull: If there is no disk space for the results; nothing was trained then.
        TrialError: If a lone trial cannot be trained.
        TrialNotSaved: If a result cannot be written.
    """
    first, task, batch_size = pack[0], pack[0].task, pack[0].configuration.training.batch_size
    saved = [(one.modules, one.backbone) for one in pack if one.trial.artifacts_path is not None]
    require_disk_space(tensor_bytes(saved), store=store)
    count = StepCount(interruption.held_back)

    def measure(share: float, train_losses: Sequence[float]) -> bool:
        evaluations = network.evaluate(task.validation)
        for number, (one, evaluation, loss) in enumerate(zip(pack, evaluations, train_losses, strict=True)):
            if evaluation is not None:
                spent = _costs(one, spending, share=share, pack_size=len(pack))
                reason = _record(one, {**_scores(evaluation), "train_loss": loss, **spent})
                if reason is not None:
                    network.end(number, reason)
        return len(network.ended) == len(pack)

    log.info(
        "training",
        trials=len(pack),
        rows=len(task.train),
        device=str(first.backbone.device),
        micro_batch_tokens=first.micro_batch_tokens,
    )
    try:
        with network.attached():
            with measured(first.backbone.device) as spending:
                network.train(measure, count)
            memory.learn(
                first.needs,
                backbone=first.backbone,
                rows=min(batch_size, max(1, first.micro_batch_tokens // first.needs.longest)),
                observed_bytes=(spending.peak_memory_bytes - spending.memory_before_bytes) // len(pack),
            )
            tests = network.evaluate(task.test) if len(network.ended) < len(pack) else [None] * len(pack)
        return [
            _finish(one, test, ended=network.ended.get(number), pack_size=len(pack), store=store)
            for number, (one, test) in enumerate(zip(pack, tests, strict=True))
        ]
    except TrialStopped as stop:
        for number, one in enumerate(pack):
            if number not in network.ended:
                _keep_checkpoint(stop, one, step=count.done, store=store)
        raise


def _lone_network(one: PreparedTrial) -> Network:
    ended: dict[int, str] = {}
    return Network(
        attached=lambda: attached(one.modules, backbone=one.backbone),
        train=lambda measure, count: fine_tune(
            one.modules,
            one.task.train,
            backbone=one.backbone,
            training=one.configuration.training,
            micro_batch_tokens=one.micro_batch_tokens,
            measure=lambda share, loss: measure(share, [loss]),
            count=count,
        ),
        evaluate=lambda split: [
            evaluate(one.modules, split, backbone=one.backbone, classes=one.task.answers.outputs)
        ],
        end=ended.__setitem__,
        ended=ended,
    )


def build_modules(configuration: TrialConfiguration, cache: ModelCache) -> TrialModules:
    """Return what a configuration trains, with its initial values, on the device.

    Raises:
        TrialError: If it has no place in the backbone, or copies of its weights do not fit in memory.
    """
    backbone = cache.network(configuration)
    layers = active_layers(configuration.peft, backbone=backbone)
    if configuration.peft.method.definition.trains_weights and layers:
        cache.memory.check_weights(full.count(backbone, first_layer=layers[0]), backbone=backbone)
    return TrialModules(
        configuration.peft,
        backbone=backbone,
        classes=cache.task(configuration).answers.outputs,
        seed=configuration.training.seed,
    ).to(backbone.device)


def prepare(
    trial: Trial,
    modules: TrialModules,
    *,
    cache: ModelCache,
    layer: int,
    needs: TrainingShape,
    micro_batch_tokens: int,
) -> PreparedTrial:
    """Measure the latency of untrained modules, and return the trial ready to start at a layer.

    Raises:
        TrialError: If it has a teacher that cannot be trained here.
    """
    configuration = trial.configuration
    backbone = cache.network(configuration)
    # Before training is timed: what earlier trials left in the cache must not change this one's cost.
    task = cache.taught(cache.task_from(configuration, layer=layer), configuration)
    # A sub-network is wanted for its speed, so it is timed as it is deployed: with what it learned merged.
    # So is the whole network that it is compared with, whose configuration names no architecture.
    is_merged = (trial.is_timed_merged or configuration.architecture is not None) and modules.merges
    with nullcontext() if is_merged else attached(modules, backbone=backbone):
        latency = latency_ms(modules, cache.task(configuration).validation, backbone=backbone)
    return PreparedTrial(trial, backbone, task, modules, needs, micro_batch_tokens, latency)


def _record(one: PreparedTrial, metrics: dict[str, float]) -> str | None:
    """Report a measurement; return why the trial ends there, None if it goes on."""
    try:
        measurement = Measurement(step=len(one.measurements) + 1, metrics=_finite(metrics))
    except NotANumber as error:
        return str(error)
    one.measurements.append(measurement)
    one.stopped_early = one.trial.report(measurement)
    return "stopped early" if one.stopped_early else None


def _finish(
    one: PreparedTrial,
    test: Evaluation | None,
    *,
    ended: str | None,
    pack_size: int,
    store: ArtifactStore,
) -> TrialReport:
    """Save a trial that was trained to the end, and report how any trial ended."""
    packed_with = {"packed_with": pack_size} if pack_size > 1 else {}
    if one.stopped_early:
        return TrialReport(
            state=TrialState.STOPPED_EARLY,
            metrics=one.measurements[-1].metrics,
            provenance=_provenance(one) | packed_with,
        )
    if test is None:
        return TrialReport(state=TrialState.INFEASIBLE, reason=ended)
    try:
        test_metrics = _finite({"score": test.score, **test.metrics, "loss": test.loss})
    except NotANumber as error:
        return TrialReport(state=TrialState.INFEASIBLE, reason=str(error))
    # The last measurement counts, not the best one: choosing among them would flatter the score.
    metrics = one.measurements[-1].metrics
    return TrialReport(
        state=TrialState.SUCCEEDED,
        metrics={name: value for name, value in metrics.items() if name not in WHILE_TRAINING},
        test_metrics=test_metrics,
        artifacts=_save(one, store, patience_seconds=UPLOAD_PATIENCE_SECONDS),
        provenance=_provenance(one) | packed_with,
    )


def _save(one: PreparedTrial, store: ArtifactStore, *, patience_seconds: float) -> tuple[ArtifactRecord, ...]:
    if one.trial.artifacts_path is None:
        return ()
    return save_trial(
        one.modules,
        one.configuration,
        backbone=one.backbone,
        answers=one.task.answers,
        store=store,
        path=one.trial.artifacts_path,
        patience_seconds=patience_seconds,
    )


def _keep_checkpoint(stop: TrialStopped, one: PreparedTrial, *, step: int, store: ArtifactStore) -> None:
    """Save what a stopped trial had trained, if its lease allows it; the records go into `stop`."""
    path = one.trial.artifacts_path
    if not stop.keeps_checkpoint or not step or path is None:
        return
    try:
        records = _save(one, store, patience_seconds=CHECKPOINT_PATIENCE_SECONDS)
    except TrialNotSaved as error:
        log.warning("checkpoint not kept", reason=str(error))
        return
    marks = {"kind": ArtifactKind.CHECKPOINT, "step": step}
    stop.checkpoints[path] = tuple(record.model_copy(update=marks) for record in records)


def _scores(evaluation: Evaluation) -> dict[str, float]:
    return {
        "score": evaluation.score,
        SCORE_STANDARD_ERROR: evaluation.score_standard_error,
        **evaluation.metrics,
        "loss": evaluation.loss,
        "collapsed": float(evaluation.collapsed),
    }


def _costs(one: PreparedTrial, spending: Spending, *, share: float, pack_size: int) -> dict[str, float]:
    """Return every cost as it will be at the end: what is not known yet grows in proportion to the steps.

    A pack spends memory and time as a whole; its trials bear equal parts.
    """
    return {
        "share": share,
        **exact_metrics(one.modules, one.configuration, shape=one.backbone.shape),
        "latency_ms": one.latency_ms,
        "peak_memory_bytes": spending.peak_so_far_bytes() / pack_size,
        "training_seconds": spending.seconds_so_far() / share / pack_size,
    }


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics unchanged.

    Raises:
        NotANumber: If one is not a finite number.
    """
    not_finite = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not_finite:
        raise NotANumber(f"not-a-number: {', '.join(not_finite)}")
    return metrics


def _provenance(one: PreparedTrial) -> dict[str, str | int | float]:
    """Return what a trial was run with."""
    libraries = ("paretune", "torch", "transformers", "tokenizers", "safetensors", "peft")
    task, device, activations = one.task, one.backbone.device, one.task.train.activations
    names = {"device_name": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {
        **{name: version(name) for name in libraries},
        "python": platform.python_version(),
        "device": str(device),
        **names,
        "dtype": str(next(one.backbone.model.parameters()).dtype),
        "seed": one.configuration.training.seed,
        "data_sha256": task.sha256,
        "validation_rows": len(task.validation),
        "micro_batch_tokens": one.micro_batch_tokens,
        "starts_at_layer": 0 if activations is None else activations.layer,
        **{f"dropped_{reason}": rows for reason, rows in task.dropped.items() if rows},
    }
