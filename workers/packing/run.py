"""Several trials from configurations to reports, packed as far as memory allows.

Knows no database and no queue.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import Measurement, TrialReport, TrialState
from workers.costs import Spending, latency_ms, measured
from workers.errors import NotANumber, TrialError
from workers.evaluate import Evaluation
from workers.memory import TrainingShape, training_shape
from workers.packing.compatibility import can_pack, takes_packs
from workers.packing.evaluate import evaluate_packed
from workers.packing.fine_tune import fine_tune_packed
from workers.packing.modules import PackedModules, attached_pack
from workers.packing.stack import largest_shapes, scalars
from workers.peft_methods import TrialModules, attached
from workers.resident import ResidentParts
from workers.run_trial import finite, is_out_of_memory, run_trial, trained_report
from workers.task_data import TokenisedTask


@dataclass(frozen=True)
class Member:
    """A trial that is to be packed; nothing is saved where `artifacts_path` is None."""

    configuration: TrialConfiguration
    artifacts_path: str | None
    report: Callable[[Measurement], None]


def run_packed(
    members: Sequence[Member], *, resident: ResidentParts, artifacts_dir: Path
) -> list[TrialReport]:
    """Give the report of each trial, as `run_trial` would, with `packed_with` in its provenance.

    Packs are as large as the memory model allows; trials that cannot share a pack run alone, one after
    the other. A pack that runs out of memory all the same is cut in two. Seconds and peak memory of a
    pack are divided evenly among its trials; the latency is each trial's own, measured without the
    others.
    """
    at_once = _trials_at_once(members, resident)
    packs = [members[start : start + at_once] for start in range(0, len(members), at_once)]
    return [report for pack in packs for report in _run_or_halve(pack, resident, artifacts_dir)]


def _trials_at_once(members: Sequence[Member], resident: ResidentParts) -> int:
    configurations = [member.configuration for member in members]
    try:
        if not can_pack(configurations) or not takes_packs(resident.backbone(configurations[0].backbone)):
            return 1
        shape = _shape_of_one(
            _modules(configurations, resident), configuration=configurations[0], resident=resident
        )
    except TrialError:
        return 1  # each of them alone says what is wrong with it
    found = resident.memory.trials_at_once(
        shape,
        backbone=resident.backbone(configurations[0].backbone),
        batch_size=configurations[0].training.batch_size,
    )
    return max(1, min(found, len(members)))


def _run_or_halve(
    members: Sequence[Member], resident: ResidentParts, artifacts_dir: Path
) -> list[TrialReport]:
    if len(members) == 1:
        alone = members[0]
        return [
            run_trial(
                alone.configuration,
                resident=resident,
                artifacts_dir=artifacts_dir,
                artifacts_path=alone.artifacts_path,
                report=alone.report,
            )
        ]
    try:
        return _run_pack(members, resident, artifacts_dir)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler: the error holds every tensor of the pack.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(members) // 2
    return [
        report
        for part in (members[:half], members[half:])
        for report in _run_or_halve(part, resident, artifacts_dir)
    ]


def _run_pack(members: Sequence[Member], resident: ResidentParts, artifacts_dir: Path) -> list[TrialReport]:
    configurations = [member.configuration for member in members]
    common = configurations[0]
    backbone = resident.backbone(common.backbone)
    packed = PackedModules(_modules(configurations, resident))
    task = resident.task_from(common, layer=packed.first_layer)
    shape = _shape_of_one(packed.trials, configuration=common, resident=resident)
    validations: list[Evaluation | None] = []

    def measure(number: int, train_losses: list[float]) -> None:
        validations[:] = evaluate_packed(packed, task.validation, backbone=backbone)
        for trial, (found, train_loss) in enumerate(zip(validations, train_losses, strict=True)):
            if found is not None:
                metrics = {"score": found.score, **found.metrics, "loss": found.loss}
                measurement = Measurement(step=number, metrics={**metrics, "train_loss": train_loss})
                _send(packed, trial, members[trial], measurement)

    with attached_pack(packed, backbone=backbone):
        with measured(backbone.device) as spending:
            fine_tune_packed(
                packed,
                task.train,
                backbone=backbone,
                recipes=[configuration.training for configuration in configurations],
                measure=measure,
            )
        tests = evaluate_packed(packed, task.test, backbone=backbone)
    share = _share(spending, trials=len(members))
    resident.memory.learn(
        shape,
        backbone=backbone,
        rows=common.training.batch_size,
        observed_bytes=share.peak_memory_bytes - share.memory_before_bytes,
    )
    packed.write_back()
    return [
        _ended_or_trained(
            packed,
            trial,
            member,
            resident=resident,
            task=task,
            artifacts_dir=artifacts_dir,
            scores=(validations[trial], tests[trial]),
            spending=share,
        )
        for trial, member in enumerate(members)
    ]


def _ended_or_trained(
    packed: PackedModules,
    trial: int,
    member: Member,
    *,
    resident: ResidentParts,
    task: TokenisedTask,
    scores: tuple[Evaluation | None, Evaluation | None],
    spending: Spending,
    artifacts_dir: Path,
) -> TrialReport:
    validation, test = scores
    if validation is None or test is None:
        return TrialReport(state=TrialState.INFEASIBLE, reason=packed.ended[trial])
    configuration, modules = member.configuration, packed.trials[trial]
    backbone = resident.backbone(configuration.backbone)
    with attached(modules, backbone=backbone):
        latency = latency_ms(modules, resident.task(configuration).validation, backbone=backbone)
    try:
        report = trained_report(
            configuration,
            modules,
            backbone=backbone,
            task=task,
            validation=validation,
            test=test,
            latency=latency,
            spending=spending,
            micro_batch_tokens=_batch_tokens(configuration, task),
            artifacts_dir=artifacts_dir,
            artifacts_path=member.artifacts_path,
        )
    except NotANumber as error:
        return TrialReport(state=TrialState.INFEASIBLE, reason=str(error))
    provenance = {**report.provenance, "packed_with": len(packed.trials)}
    return report.model_copy(update={"provenance": provenance})


def _send(packed: PackedModules, trial: int, member: Member, measurement: Measurement) -> None:
    try:
        finite(measurement.metrics)
    except NotANumber as error:
        packed.end(trial, reason=str(error))
    else:
        member.report(measurement)


def _modules(
    configurations: Sequence[TrialConfiguration], resident: ResidentParts
) -> tuple[TrialModules, ...]:
    backbone = resident.backbone(configurations[0].backbone)
    classes = resident.task(configurations[0]).answers.outputs
    return tuple(
        TrialModules(
            configuration.peft, backbone=backbone, classes=classes, seed=configuration.training.seed
        ).to(backbone.device)
        for configuration in configurations
    )


def _shape_of_one(
    trials: Sequence[TrialModules], *, configuration: TrialConfiguration, resident: ResidentParts
) -> TrainingShape:
    """Give the shape of each trial of a pack: as large as the largest of every module together."""
    largest = largest_shapes([dict(trial.named_parameters()) for trial in trials])
    first_layer = min(trial.first_layer for trial in trials)
    return training_shape(
        trained=scalars(largest),
        first_layer=first_layer,
        split=resident.task_from(configuration, layer=first_layer).train,
        backbone=resident.backbone(configuration.backbone),
    )


def _share(spending: Spending, *, trials: int) -> Spending:
    return Spending(
        seconds=spending.seconds / trials,
        peak_memory_bytes=spending.peak_memory_bytes // trials,
        memory_before_bytes=spending.memory_before_bytes // trials,
    )


def _batch_tokens(configuration: TrialConfiguration, task: TokenisedTask) -> int:
    return configuration.training.batch_size * max(map(len, task.train.ids))
