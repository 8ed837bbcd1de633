"""Made-up trials in the form of recorded ones."""

from typing import Any

from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks.autopeft.protocol import MANUAL, TEST_SEEDS, base_configuration
from benchmarks.autopeft.results import Phase, Trial
from service.catalogue.backbones import by_name

SHAPE = by_name.backbone_shape("all-MiniLM-L6-v2", models_dir=None)
PROVENANCE = {"paretune": "0", "torch": "0", "transformers": "0", "botorch": "0"}
PARAMETERS = {
    "head only": 770, "BitFit": 33_410, "LoRA 8": 74_498, "serial adapter": 113_810,
    "parallel adapter": 888_962, "prefix tuning": 46_850, "MAM": 1_027_202, "full fine-tuning": 22_500_000,
}  # fmt: skip


def configuration(task: str = "rotten-tomatoes", **values: Any) -> TrialConfiguration:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return canonical(patch(base_configuration(task, shape=SHAPE), named))


def trial(
    phase: Phase,
    name: str,
    validation: float | None,
    *,
    test: float | None = None,
    parameters: int = 1000,
    seed: int = 0,
    origin: str = "",
    task: str = "rotten-tomatoes",
    **values: Any,
) -> Trial:
    return Trial(
        task=task, phase=phase, name=name, seed=seed, origin=origin,
        configuration=configuration(task, **values), trains_backbone=False, validation_score=validation,
        test_score=test, trainable_parameters=parameters, seconds=1.0, cpu_seconds=1.0,
        provenance=PROVENANCE,
    )  # fmt: skip


def finished_task(task: str = "rotten-tomatoes") -> list[Trial]:
    """Methods at .70 to .77 on test; a member at .75 with 5,000 parameters, one at .80 with 50,000."""
    found = []
    for number, name in enumerate(MANUAL):
        tuning = f"{name} at 0.001"
        found.append(
            trial(
                "manual tuning",
                tuning,
                0.7 + number / 100,
                parameters=PARAMETERS[name],
                origin=name,
                task=task,
            )
        )
        found += [
            trial(
                "manual", name, 0.7, test=0.7 + number / 100 + seed / 1000, parameters=PARAMETERS[name],
                seed=seed, origin=tuning, task=task,
            )
            for seed in TEST_SEEDS
        ]  # fmt: skip
    for name, score, size in (("searched 0", 0.75, 5_000), ("searched 1", 0.8, 50_000)):
        found.append(trial("search", name, score, parameters=size, task=task))
        found += [
            trial(
                "searched", name, score, test=score + seed / 500, parameters=size, seed=seed, origin=name,
                task=task, peft__serial_adapter__bottleneck_size=size // 1000,
            )
            for seed in TEST_SEEDS
        ]  # fmt: skip
    return found
