"""Which GPUs the processes of this machine may see. Loads no torch here, and starts no CUDA."""

import os
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

HIDDEN = frozenset({"", "-1", "none", "void", "NoDevFiles"})
"""What CUDA_VISIBLE_DEVICES or NVIDIA_VISIBLE_DEVICES holds where none is to be seen."""

DEVICES = ("nvidia[0-9]*", "dxg", "kfd")
"""Files of NVIDIA's driver, of the same under WSL, and of AMD's."""

LISTED = re.compile(r"^(GPU|\s+MIG) .*\(UUID: ([A-Za-z0-9/-]+)\)\s*$", re.MULTILINE)
"""A line of `nvidia-smi -L`: a GPU, or a part of the last one."""

COUNT = "import torch; print(torch.cuda.device_count())"
ANSWER_SECONDS = 120.0


def visible_gpus(devices: Path = Path("/dev")) -> list[str]:
    """Return for each GPU what CUDA_VISIBLE_DEVICES must hold for a process to see that one alone.

    None where PARETUNE_DEVICE says that trials train on the CPU.
    What CUDA_VISIBLE_DEVICES names is believed. Else NVIDIA's tool lists them, by UUID and each part of a
    divided GPU by itself. Where there is a driver and no such tool, a process of its own asks torch.
    """
    if os.environ.get("PARETUNE_DEVICE") == "cpu":
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        parts = (part.strip() for part in named.split(","))
        # CUDA, too, sees nothing from the first entry on that is none.
        return list(dict.fromkeys(takewhile(lambda part: part not in HIDDEN, parts)))
    if not gpu_is_visible(devices):
        return []
    listed = _answer("nvidia-smi", "-L")
    if listed is not None:
        return listed_gpus(listed)
    count = _answer(sys.executable, "-c", COUNT)
    return [str(number) for number in range(int(count or 0))]


def listed_gpus(listed: str) -> list[str]:
    """Return the UUIDs in what `nvidia-smi -L` prints: of parts where a GPU is divided, else of the GPU."""
    found: list[list[str]] = []
    for kind, uuid in LISTED.findall(listed):
        if kind == "GPU":
            found.append([uuid])
        elif found:
            found[-1].append(uuid)
    return [uuid for whole, *parts in found for uuid in parts or [whole]]


def gpu_is_visible(devices: Path = Path("/dev")) -> bool:
    """Return whether the driver of a GPU is there and no variable hides its devices."""
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        if os.environ.get(name, "all").strip() in HIDDEN:
            return False
    return any(any(devices.glob(pattern)) for pattern in DEVICES)


def _answer(*command: str) -> str | None:
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout
