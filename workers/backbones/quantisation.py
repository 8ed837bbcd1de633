"""Frozen weights in 8 or 4 bits, by the library bitsandbytes where it is installed."""

import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from api_schemas.trial_configuration import Quantisation
from workers.errors import UnsupportedBackbone


def quantised(quantisation: Quantisation, *, device: torch.device) -> dict[str, Any]:
    """Return what `from_pretrained` needs to quantise every linear map while it loads.

    Raises:
        UnsupportedBackbone: If bitsandbytes is not installed.
    """
    _require_library(quantisation)
    configuration = BitsAndBytesConfig(
        load_in_8bit=quantisation is Quantisation.EIGHT_BIT,
        load_in_4bit=quantisation is Quantisation.FOUR_BIT,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=gpu_dtype() if device.type == "cuda" else torch.float32,
    )
    return {"quantization_config": configuration, "device_map": {"": device}}


def as_stored(quantisation: Quantisation, *, device: torch.device) -> dict[str, Any]:
    """Return what `from_pretrained` needs to load weights that are quantised in their files.

    Raises:
        UnsupportedBackbone: If bitsandbytes is not installed.
    """
    _require_library(quantisation)
    return {"device_map": {"": device}}


def gpu_dtype() -> torch.dtype:
    """Return bfloat16 where the GPU multiplies it, and does not only emulate it as those before Ampere do."""
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


def _require_library(quantisation: Quantisation) -> None:
    if find_spec("bitsandbytes") is None:
        raise UnsupportedBackbone(
            f"A backbone in {quantisation} needs bitsandbytes on the trial worker: pip install bitsandbytes"
        )
    # It warns at every multiplication that it works in half precision, which is intended.
    warnings.filterwarnings("ignore", message="MatMul8bitLt")


def stay_differentiable(model: nn.Module) -> None:
    """Keep maps in 4 bits as they are laid out for gradients.

    On a CPU that multiplies bfloat16, bitsandbytes changes the layout of maps in evaluation mode for a kernel
    without a backward pass, at the first input that needs no gradient. The mode changes nothing else in them.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.train()
