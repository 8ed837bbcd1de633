"""What a merged trial takes in ONNX Runtime and in torch, on this machine. Knows no trial and no study."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from workers.saving.onnx_format import INPUTS, ONNX_FILE, with_head

TOKENS = 32
WARM_UP_ROUNDS, ROUNDS = 3, 15


@dataclass(frozen=True)
class RuntimeTimes:
    """Medians for one text, in milliseconds, both in float32 on so many threads of the CPU."""

    onnx_ms: float
    torch_ms: float
    threads: int

    def words(self) -> str:
        """Return them as a sentence."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"One text of {TOKENS} tokens takes {self.onnx_ms:.3g} ms in ONNX Runtime and "
            f"{self.torch_ms:.3g} ms in torch (medians of {ROUNDS} runs in float32 on {threads} of this CPU)"
        )


@torch.inference_mode()
def time_runtimes(merged: Path) -> RuntimeTimes:
    """Time the graph and the network of a merged trial, in turns, so that what else runs hits both alike."""
    import onnxruntime  # an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(merged / ONNX_FILE, options, providers=["CPUExecutionProvider"])
    ids = torch.ones((1, TOKENS), dtype=torch.long)
    batch = {name: ids.numpy() for name in INPUTS}
    runs = partial(session.run, None, batch), partial(with_head(merged), ids, ids)
    times: tuple[list[float], list[float]] = [], []
    for round_ in range(WARM_UP_ROUNDS + ROUNDS):
        for run, of_runtime in zip(runs, times, strict=True):
            took = _milliseconds(run)
            if round_ >= WARM_UP_ROUNDS:
                of_runtime.append(took)
    onnx_ms, torch_ms = map(statistics.median, times)
    return RuntimeTimes(onnx_ms, torch_ms, threads)


def _milliseconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started)
