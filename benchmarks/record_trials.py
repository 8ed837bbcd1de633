"""Record real trials with their learning curves: `python -m benchmarks.record_trials --task rotten-tomatoes`.

Configurations are drawn from the AutoPEFT space with a learning rate in it, evenly over how many
layers are on. One JSON line a trial, appended as it ends; a second run goes on where the first
stopped. The optimiser and the stopping rules are judged on these lines, so they name versions,
data and seed.
"""

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import torch

from api_schemas.objectives import Metric
from api_schemas.presets import expand_preset
from api_schemas.search_space import FloatParameter, Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from api_schemas.trials import Measurement
from benchmarks import json_lines
from service.artifacts.artifact_store import store_at
from service.catalogue.backbones import by_name
from service.optimization.candidates import density_sample
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial

BACKBONE = "all-MiniLM-L6-v2"
RECORDED = Path(__file__).parent / "recorded"


def main() -> None:
    """Record trials until there are as many as asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="rotten-tomatoes")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs=3, default=[800, 600, 600])
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train, validation, test = arguments.rows
    base = TrialConfiguration.model_validate(
        {
            "backbone": BACKBONE,
            "task": {
                "name": arguments.task, "train_rows": train, "validation_rows": validation, "test_rows": test,
            },
            "training": {
                "epochs": arguments.epochs, "max_length": arguments.max_length, "measurements_per_epoch": 2,
            },
        }
    )  # fmt: skip
    record(base, space(), file=RECORDED / f"{arguments.task}.jsonl", trials=arguments.trials)


def space() -> SearchSpace:
    """Return the AutoPEFT space of the backbone, with the learning rate beside it."""
    shape = by_name.backbone_shape(BACKBONE, models_dir=None)
    rate = FloatParameter(name="training.learning_rate", low=1e-4, high=1e-2, log=True)
    return SearchSpace(parameters=(*expand_preset(PresetName.AUTOPEFT, shape=shape), rate))


def record(base: TrialConfiguration, search_space: SearchSpace, *, file: Path, trials: int) -> None:
    """Append a line for each trial that the file does not hold yet."""
    file.parent.mkdir(exist_ok=True)
    done = len(json_lines.read(file))
    cache = ModelCache(None, device=torch.device("cpu"))
    layers = cache.backbone(base.backbone).shape.layers
    base = patch(base, {"peft.active_layers": [True] * layers})  # type: ignore[dict-item]
    for number, parameters in enumerate(drawn(search_space, trials)):
        if number >= done:
            line = recorded(base, parameters, number=number, cache=cache)
            json_lines.append(file, line)
            print(
                f"{file.stem} {number + 1}/{trials}: {line['state']} {line['metrics'].get('score')}",
                flush=True,
            )


def drawn(search_space: SearchSpace, trials: int) -> list[Parameterization]:
    """Draw the parameterizations; a longer list begins with the shorter one."""
    rng = random.Random("record")  # noqa: S311  an experiment, not a secret
    return [density_sample(search_space, 1, rng=rng)[0] for _ in range(trials)]


def recorded(
    base: TrialConfiguration, parameters: Parameterization, *, number: int, cache: ModelCache
) -> dict[str, Any]:
    """Run one trial and give its line."""
    configuration = canonical(patch(base, parameters))
    curve: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        report = run_trial(Trial(configuration, "trial", curve.append), cache=cache, store=store_at(folder))
    metrics = {name: value for name, value in report.metrics.items() if name != Metric.PEAK_MEMORY_BYTES}
    return {
        "number": number,
        "parameters": parameters,
        "configuration": configuration.model_dump(mode="json"),
        "state": report.state,
        "reason": report.reason,
        "metrics": metrics,
        "test_metrics": report.test_metrics,
        "curve": [{"step": point.step, **point.metrics} for point in curve],
        "provenance": report.provenance,
    }


if __name__ == "__main__":
    main()
