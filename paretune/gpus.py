"""Whether this machine has a GPU that its processes may see. Loads no torch."""

import os
from pathlib import Path

HIDDEN = frozenset({"", "-1", "none", "void", "NoDevFiles"})
"""What CUDA_VISIBLE_DEVICES or NVIDIA_VISIBLE_DEVICES holds where none is to be seen."""

DEVICES = ("nvidia[0-9]*", "dxg", "kfd")
"""Files of NVIDIA's driver, of the same under WSL, and of AMD's."""


def gpu_is_visible(devices: Path = Path("/dev")) -> bool:
    """Return whether the driver of a GPU is there and no variable hides its devices."""
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        if os.environ.get(name, "all").strip() in HIDDEN:
            return False
    return any(any(devices.glob(pattern)) for pattern in DEVICES)
