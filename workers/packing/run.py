"""Several trials from configurations to reports, packed as far as memory allows.

Knows no database and no queue.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import ArtifactStore
from workers.errors import NotANumber, TrialError, is_out_of_memory
from workers.fine_tune import StepCount
from workers.interruption import TrialStopped, interruption
from workers.measuring.costs import Spending, latency_ms, measured
from workers.measuring.evaluate import Evaluation
from workers.measuring.memory import TrainingShape, training_shape
from workers.model_cache import ModelCache
from workers.packing.compatibility import can_pack, takes_packs
from workers.packing.evaluate import evaluate_packed
from workers.packing.fine_tune import fine_tune_packed
from workers.packing.modules import PackedModules, attached_pack
from workers.packing.stack import largest_shapes, scalars
from workers.peft_methods import TrialModules, attached
from workers.run_trial import (
    ReadyTrial,
    costs,
    finished_report,
    finite,
    keep_checkpoint,
    provenance,
    run_trial,
    scores,
)
from workers.saving.artifacts import tensor_bytes
from workers.saving.disk_space import require_disk_space

DIVIDED = ("training_seconds", "peak_memory_bytes")
"""What a pack spends as a whole, and its trials in equal parts."""


@dataclass(frozen=True)
class Member:
    """A trial that may be packed; nothing is saved where `artifacts_path` is None.

    `report` gets each measurement and says whether this trial should stop there.
    """

    configuration: TrialConfiguration
    artifacts_path: str | None
    report: Callable[[Measurement], bool]


@dataclass
class Progress:
    """What is known of one trial of a pack while it trains."""

    member: Member
    trial: ReadyTrial
    measurements: list[Measurement] = field(default_factory=list)
    stopped_early: bool = False


def run_packed(
    members: Sequence[Member], *, cache: ModelCache, store: ArtifactStore
) -> Iterator[list[TrialReport]]:
    """Yield the report of each trial, as `run_trial` would, with `packed_with` in its provenance.

    They come in order, those of a pack together and before the next one is trained. Packs are as large as
    the memory model allows; trials that cannot share a pack run alone, one after the other. A pack that
    runs out of memory all the same is cut in two. Seconds and peak memory of a pack are divided evenly
    among its trials; the latency is each trial's own, measured without the others.
    """
    at_once = _trials_at_once(members, cache)
    packs = [members[start : start + at_once] for start in range(0, len(members), at_once)]
    for pack in packs:
        yield from _run_or_halve(pack, cache, store)


def _trials_at_once(members: Sequence[Member], cache: ModelCache) -> int:
    common = members[0].configuration
    try:
        if len(members) == 1 or not can_pack([member.configuration for member in members]):
            return 1
        backbone = cache.backbone(common.backbone, common.quantisation)
        if not takes_packs(backbone):
            return 1
        shape = _shape_of_one(_modules(members, cache), configuration=common, cache=cache)
    except TrialError:
        return 1  # each of them alone says what is wrong with it
    found = cache.memory.trials_at_once(shape, backbone=backbone, batch_size=common.training.batch_size)
    return max(1, min(found, len(members)))


def _run_or_halve(
    members: Sequence[Member], cache: ModelCache, store: ArtifactStore
) -> Iterator[list[TrialReport]]:
    if len(members) == 1:
        yield [_run_alone(members[0], cache, store)]
        return
    try:
        reports = _run_pack(members, cache, store)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        yield reports
        return
    # Outside the handler: the error holds every tensor of the pack.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(members) // 2
    yield from _run_or_halve(members[:half], cache, store)
    yield from _run_or_halve(members[half:], cache, store)


def _run_alone(member: Member, cache: ModelCache, store: ArtifactStore) -> TrialReport:
    return run_trial(
        member.configuration,
        cache=cache,
        store=store,
        artifacts_path=member.artifacts_path,
        report=member.report,
    )


def _run_pack(members: Sequence[Member], cache: ModelCache, store: ArtifactStore) -> list[TrialReport]:
    pack = [Progress(member, trial) for member, trial in zip(members, _ready(members, cache), strict=True)]
    backbone, task = pack[0].trial.backbone, pack[0].trial.task
    packed = PackedModules([progress.trial.modules for progress in pack])
    saved = [one.trial.modules for one in pack if one.member.artifacts_path is not None]
    require_disk_space(tensor_bytes(saved), store=store)
    count = StepCount(interruption.held_back)

    def measure(share: float, train_losses: list[float]) -> None:
        found = evaluate_packed(packed, task.validation, backbone=backbone)
        for number, (progress, train_loss) in enumerate(zip(pack, train_losses, strict=True)):
            validation = found[number]
            if validation is not None:
                metrics = {**scores(validation), "train_loss": train_loss}
                metrics |= _shared_costs(progress.trial, spending, share=share, trials=len(pack))
                _record(packed, number, progress, metrics)

    try:
        with attached_pack(packed, backbone=backbone):
            with measured(backbone.device) as spending:
                fine_tune_packed(
                    packed,
                    task.train,
                    backbone=backbone,
                    recipes=[member.configuration.training for member in members],
                    measure=measure,
                    count=count,
                )
            tests = evaluate_packed(packed, task.test, backbone=backbone)
        cache.memory.learn(
            pack[0].trial.needs,
            backbone=backbone,
            rows=members[0].configuration.training.batch_size,
            observed_bytes=(spending.peak_memory_bytes - spending.memory_before_bytes) // len(pack),
        )
        packed.write_back()
        return [
            _outcome(progress, test, packed=packed, number=number, store=store)
            for number, (progress, test) in enumerate(zip(pack, tests, strict=True))
        ]
    except TrialStopped as stop:
        packed.write_back()
        for number, progress in enumerate(pack):
            if number not in packed.ended:
                path = progress.member.artifacts_path
                keep_checkpoint(stop, progress.trial, step=count.done, store=store, artifacts_path=path)
        raise


def _ready(members: Sequence[Member], cache: ModelCache) -> list[ReadyTrial]:
    """Make every trial ready to start at the lowest layer in which any of them has modules."""
    common = members[0].configuration
    backbone = cache.backbone(common.backbone, common.quantisation)
    modules = _modules(members, cache)
    needs = _shape_of_one(modules, configuration=common, cache=cache)
    plain = cache.task(common).validation
    ready = []
    for member, of_trial in zip(members, modules, strict=True):
        with attached(of_trial, backbone=backbone):
            latency = latency_ms(of_trial, plain, backbone=backbone)
        ready.append(
            ReadyTrial(
                configuration=member.configuration,
                backbone=backbone,
                task=cache.task_from(common, layer=_first_layer(modules)),
                modules=of_trial,
                needs=needs,
                micro_batch_tokens=common.training.batch_size * needs.longest,
                latency_ms=latency,
            )
        )
    return ready


def _record(packed: PackedModules, number: int, progress: Progress, metrics: dict[str, float]) -> None:
    try:
        measurement = Measurement(step=len(progress.measurements) + 1, metrics=finite(metrics))
    except NotANumber as error:
        packed.end(number, reason=str(error))
        return
    progress.measurements.append(measurement)
    if progress.member.report(measurement):
        progress.stopped_early = True
        packed.end(number, reason="stopped early")


def _outcome(
    progress: Progress,
    test: Evaluation | None,
    *,
    packed: PackedModules,
    number: int,
    store: ArtifactStore,
) -> TrialReport:
    packed_with = {"packed_with": len(packed.trials)}
    if progress.stopped_early:
        return TrialReport(
            state=TrialState.STOPPED_EARLY,
            metrics=progress.measurements[-1].metrics,
            provenance=provenance(progress.trial) | packed_with,
        )
    if test is None:
        return TrialReport(state=TrialState.INFEASIBLE, reason=packed.ended[number])
    try:
        report = finished_report(
            progress.trial,
            progress.measurements[-1].metrics,
            test=test,
            store=store,
            artifacts_path=progress.member.artifacts_path,
        )
    except NotANumber as error:
        return TrialReport(state=TrialState.INFEASIBLE, reason=str(error))
    return report.model_copy(update={"provenance": report.provenance | packed_with})


def _shared_costs(trial: ReadyTrial, spending: Spending, *, share: float, trials: int) -> dict[str, float]:
    found = costs(trial, spending, share=share)
    return found | {name: found[name] / trials for name in DIVIDED}


def _modules(members: Sequence[Member], cache: ModelCache) -> list[TrialModules]:
    common = members[0].configuration
    backbone = cache.backbone(common.backbone, common.quantisation)
    classes = cache.task(common).answers.outputs
    return [
        TrialModules(
            member.configuration.peft,
            backbone=backbone,
            classes=classes,
            seed=member.configuration.training.seed,
        ).to(backbone.device)
        for member in members
    ]


def _first_layer(trials: Sequence[TrialModules]) -> int:
    return min(trial.first_layer for trial in trials)


def _shape_of_one(
    trials: Sequence[TrialModules], *, configuration: TrialConfiguration, cache: ModelCache
) -> TrainingShape:
    """Return the shape of each trial of a pack: as large as the largest of every module together."""
    largest = largest_shapes([dict(trial.named_parameters()) for trial in trials])
    return training_shape(
        trained=scalars(largest),
        first_layer=_first_layer(trials),
        split=cache.task_from(configuration, layer=_first_layer(trials)).train,
        backbone=cache.backbone(configuration.backbone, configuration.quantisation),
    )
