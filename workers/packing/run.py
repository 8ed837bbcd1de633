"""Several trials from configurations to reports, packed as far as memory allows.

The steps are those of `workers.run_trial`. Knows no database and no queue.
"""

from collections.abc import Iterator, Sequence

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialReport
from service.artifacts.artifact_store import ArtifactStore
from workers.errors import TrialError, is_out_of_memory
from workers.measuring.memory import TrainingShape, release_memory, training_shape
from workers.model_cache import ModelCache
from workers.packing.compatibility import can_pack, takes_packs
from workers.packing.evaluate import evaluate_packed
from workers.packing.fine_tune import fine_tune_packed
from workers.packing.modules import PackedModules, attached_pack
from workers.packing.stack import largest_shapes, scalars
from workers.peft_methods import TrialModules
from workers.run_trial import Network, PreparedTrial, Trial, build_modules, prepare, run_steps, run_trial


def run_packed(
    trials: Sequence[Trial], *, cache: ModelCache, store: ArtifactStore
) -> Iterator[list[TrialReport]]:
    """Yield the report of each trial, as `run_trial` would, with `packed_with` in its provenance.

    They come in order, those of a pack together and before the next one is trained. Packs are as large as
    the memory model allows; trials that cannot share a pack run alone, one after the other. A pack that
    runs out of memory all the same is cut in two. Seconds and peak memory of a pack are divided evenly
    among its trials; the latency is each trial's own, measured without the others.
    """
    at_once = _trials_at_once(trials, cache)
    for start in range(0, len(trials), at_once):
        yield from _run_or_halve(trials[start : start + at_once], cache, store)


def _trials_at_once(trials: Sequence[Trial], cache: ModelCache) -> int:
    common = trials[0].configuration
    try:
        if not can_pack([trial.configuration for trial in trials]):
            return 1
        backbone = cache.network(common)
        if not takes_packs(backbone):
            return 1
        modules = [build_modules(trial.configuration, cache) for trial in trials]
        shape = shape_of_one(modules, configuration=common, cache=cache)
    except TrialError:
        return 1  # each of them alone reports what is wrong with it
    fitting = cache.memory.trials_at_once(shape, backbone=backbone, batch_size=common.training.batch_size)
    return max(1, min(fitting, len(trials)))


def _run_or_halve(
    trials: Sequence[Trial], cache: ModelCache, store: ArtifactStore
) -> Iterator[list[TrialReport]]:
    if len(trials) == 1:
        yield [run_trial(trials[0], cache=cache, store=store)]
        return
    try:
        reports = _run_pack(trials, cache, store)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        yield reports
        return
    # Outside the handler, where the error would hold every tensor of the pack.
    release_memory()
    half = len(trials) // 2
    yield from _run_or_halve(trials[:half], cache, store)
    yield from _run_or_halve(trials[half:], cache, store)


def _run_pack(trials: Sequence[Trial], cache: ModelCache, store: ArtifactStore) -> list[TrialReport]:
    common = trials[0].configuration
    modules = [build_modules(trial.configuration, cache) for trial in trials]
    needs = shape_of_one(modules, configuration=common, cache=cache)
    pack = [
        prepare(
            trial,
            of_trial,
            cache=cache,
            layer=_first_layer(modules),
            needs=needs,
            micro_batch_tokens=common.training.batch_size * needs.longest,
        )
        for trial, of_trial in zip(trials, modules, strict=True)
    ]
    return run_steps(pack, _stacked_network(pack), memory=cache.memory, store=store)


def _stacked_network(pack: Sequence[PreparedTrial]) -> Network:
    packed = PackedModules([one.modules for one in pack])
    backbone = pack[0].backbone
    return Network(
        attached=lambda: attached_pack(packed, backbone=backbone),
        train=lambda measure, count: fine_tune_packed(
            packed,
            pack[0].task.train,
            backbone=backbone,
            recipes=[one.configuration.training for one in pack],
            measure=measure,
            count=count,
        ),
        evaluate=lambda split: evaluate_packed(packed, split, backbone=backbone),
        end=packed.end,
        ended=packed.ended,
    )


def shape_of_one(
    modules: Sequence[TrialModules], *, configuration: TrialConfiguration, cache: ModelCache
) -> TrainingShape:
    """Return the shape of each trial of a pack: as large as the largest of every module together."""
    largest = largest_shapes([dict(of_trial.named_parameters()) for of_trial in modules])
    layer = _first_layer(modules)
    return training_shape(
        trained=scalars(largest),
        first_layer=layer,
        split=cache.task_from(configuration, layer=layer).train,
        backbone=cache.network(configuration),
    )


def _first_layer(modules: Sequence[TrialModules]) -> int:
    return min(of_trial.first_layer for of_trial in modules)
