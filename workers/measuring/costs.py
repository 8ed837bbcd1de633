"""What a trial costs besides its score: parameters, latency, memory, time."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import torch

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Metric
from api_schemas.peft.counts import adapter_flops
from api_schemas.trial_configuration import TrialConfiguration
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, pad
from workers.peft_methods import TrialModules, logits

WARM_UP_RUNS = 3
TIMED_RUNS = 15
SAMPLE_SECONDS = 0.02


@dataclass
class Spending:
    """What the block of `measured` costs: so far while it runs, in all after it."""

    device: torch.device
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    memory_before_bytes: int = 0
    started: float = field(default_factory=time.perf_counter)

    def seconds_so_far(self) -> float:
        """Return the seconds since the block began."""
        _synchronise(self.device)
        return time.perf_counter() - self.started

    def peak_so_far_bytes(self) -> int:
        """Return the highest peak until now."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return max(self.peak_memory_bytes, int(psutil.Process().memory_info().rss))


def exact_metrics(
    modules: TrialModules, configuration: TrialConfiguration, *, shape: BackboneShape
) -> dict[str, float]:
    """Return the metrics that follow from the configuration, counted on the modules where possible."""
    trained = list(modules.parameters())
    flops = adapter_flops(configuration, shape=shape)
    known = {
        Metric.TRAINABLE_PARAMETERS.value: float(count_trainable(modules)),
        Metric.ADAPTER_BYTES.value: float(sum(each.numel() * each.element_size() for each in trained)),
    }
    return known if flops is None else {**known, Metric.ADAPTER_FLOPS.value: float(flops)}


def count_trainable(modules: TrialModules) -> int:
    """Count the scalars that are trained and saved."""
    return sum(parameter.numel() for parameter in modules.parameters())


@torch.inference_mode()
def latency_ms(modules: TrialModules, split: TokenisedSplit, *, backbone: Backbone) -> float:
    """Time one forward pass over the text of median length, alone in its batch: the median of 15 runs."""
    by_length = sorted(range(len(split)), key=lambda position: len(split.ids[position]))
    middle = by_length[len(by_length) // 2]
    batch = pad(split, [middle], pad_id=backbone.tokenizer.pad_token_id, device=backbone.device)
    runs = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        started = time.perf_counter()
        logits(modules, batch, backbone=backbone)
        _synchronise(backbone.device)
        runs.append(1000 * (time.perf_counter() - started))
    return statistics.median(runs[WARM_UP_RUNS:])


@contextmanager
def measured(device: torch.device) -> Iterator[Spending]:
    """Measure seconds and peak memory of a block.

    On CUDA the peak is what the allocator handed out. On a CPU it is the largest resident size of
    the process seen every 20 ms: it holds the resident backbone, and pages that earlier trials left
    with the allocator, so small differences between trials mean nothing.
    """
    spending = Spending(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        spending.memory_before_bytes = torch.cuda.memory_allocated(device)
        yield spending
        spending.peak_memory_bytes = spending.peak_so_far_bytes()
    else:
        with _sampled_resident_size(spending):
            yield spending
    spending.seconds = spending.seconds_so_far()


@contextmanager
def _sampled_resident_size(spending: Spending) -> Iterator[None]:
    ended = threading.Event()
    process = psutil.Process()
    spending.memory_before_bytes = process.memory_info().rss

    def sample() -> None:
        while True:
            spending.peak_memory_bytes = max(spending.peak_memory_bytes, process.memory_info().rss)
            if ended.wait(SAMPLE_SECONDS):
                return

    sampler = threading.Thread(target=sample, name="resident size", daemon=True)
    sampler.start()
    try:
        yield
    finally:
        ended.set()
        sampler.join()


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
