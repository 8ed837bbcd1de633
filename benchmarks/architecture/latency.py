"""How long one pass of a network takes, beside others. Knows neither tasks nor what was recorded."""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workers.backbones.loading import Backbone
from workers.saving.merged import HEAD
from workers.saving.onnx_format import INPUTS, export_onnx

BATCHES = ((1, 32), (8, 32))
"""Rows and tokens of the batches that are timed."""

WARM_UP_ROUNDS, ROUNDS = 3, 25


def interleaved_ms(networks: Mapping[str, Backbone]) -> dict[str, dict[str, float]]:
    """Time one pass of every network: in the worker's precision, in float32, in ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        return timed_by_turns(
            {
                name: _passes(network, Path(folder) / str(number))
                for number, (name, network) in enumerate(networks.items())
            }
        )


def timed_by_turns(passes: Mapping[str, Mapping[str, Callable[[], object]]]) -> dict[str, dict[str, float]]:
    """Time every pass once in each round, so that what else the machine does hits all alike.

    Return medians of the CPU milliseconds of the one thread that computes, which other processes change
    little, and the distance of their quartiles as a share.
    """
    runs: dict[tuple[str, str], list[float]] = {}
    for round_ in range(WARM_UP_ROUNDS + ROUNDS):
        for name, of_network in passes.items():
            for how, one_pass in of_network.items():
                started = time.thread_time()
                one_pass()
                if round_ >= WARM_UP_ROUNDS:
                    runs.setdefault((name, how), []).append(1000 * (time.thread_time() - started))
    found: dict[str, dict[str, float]] = {}
    for (name, how), times in runs.items():
        lower, middle, upper = statistics.quantiles(times, n=4)
        found.setdefault(name, {})[how] = round(middle, 3)
        found[name][f"{how} spread"] = round((upper - lower) / middle, 3)
    return found


def ways_of(line: Mapping[str, Any]) -> list[str]:
    """Return the names of the passes that a line of results has times of: they end in a size."""
    return [name for name in line if name[-1:].isdigit()]


def in_shares(line: Mapping[str, Any], whole: Mapping[str, Any]) -> list[str]:
    """Write the times of a network as shares of the whole one's, and those of the whole in milliseconds."""
    if line is whole:
        return [f"{whole[way]:.1f} ms" for way in ways_of(whole)]
    return [f"{line[way] / whole[way]:.2f}" for way in ways_of(whole)]


def _passes(network: Backbone, folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed of a network, by runtime and size of the batch."""
    precise = copy.deepcopy(network.model).float()
    precise.save_pretrained(folder)  # type: ignore[operator]  # transformers ships no types
    save_file({"weight": torch.zeros(3, network.shape.hidden_size), "bias": torch.zeros(3)}, folder / HEAD)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = onnxruntime.InferenceSession(export_onnx(folder), options, providers=["CPUExecutionProvider"])
    found: dict[str, Callable[[], object]] = {}
    for rows, tokens in BATCHES:
        ids = torch.full((rows, tokens), 2000)
        mask = torch.ones_like(ids)
        batch = dict(zip(INPUTS, (ids.numpy(), mask.numpy()), strict=True))
        found[f"torch {rows}x{tokens}"] = partial(_forward, network.model, ids, mask)
        found[f"torch float32 {rows}x{tokens}"] = partial(_forward, precise, ids, mask)
        found[f"ONNX {rows}x{tokens}"] = partial(graph.run, None, batch)
    return found


@torch.inference_mode()
def _forward(model: nn.Module, ids: Tensor, mask: Tensor) -> object:
    return model(input_ids=ids, attention_mask=mask)
