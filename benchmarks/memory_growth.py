"""Whether a worker grows over many trials: `python -m benchmarks.memory_growth`.

Runs short real trials with changing modules in one process and prints its resident size (on CUDA, the
free memory of the device too) after every tenth.
"""

import argparse
import random
import tempfile

import psutil
import torch

from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks.record_trials import space
from service.artifacts.artifact_store import store_at
from service.optimization.candidates import density_sample
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial


def main() -> None:
    """Run the trials and print sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache = ModelCache(None, device=device, activation_cache_bytes=50_000_000)
    base = TrialConfiguration.model_validate(
        {
            "backbone": "all-MiniLM-L6-v2",
            "task": {"name": "rotten-tomatoes", "train_rows": 96, "validation_rows": 64, "test_rows": 64},
            "training": {"epochs": 1},
            "peft": {"active_layers": [True] * 6},
        }
    )
    rng = random.Random(0)  # noqa: S311  an experiment, not a secret
    for number, parameters in enumerate(density_sample(space(), arguments.trials, rng=rng), start=1):
        with tempfile.TemporaryDirectory() as folder:
            run_trial(
                Trial(canonical(patch(base, parameters)), "trial", lambda _: False),
                cache=cache,
                store=store_at(folder),
            )
        if number % 10 == 0 or number == 1:
            size = psutil.Process().memory_info().rss / 1e6
            free = torch.cuda.mem_get_info(device)[0] / 1e6 if device.type == "cuda" else None
            print(
                f"after {number:3} trials: {size:.0f} MB resident" + (f", {free:.0f} MB free" if free else "")
            )


if __name__ == "__main__":
    main()
