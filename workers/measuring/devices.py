"""Which device trials are trained on, and whether it is there. `PARETUNE_DEVICE` chooses it."""

from typing import TYPE_CHECKING

from service.settings import settings

if TYPE_CHECKING:
    import torch

CUDA = "cuda"


def trial_device() -> "torch.device":
    """Return the device of the settings; without one, the GPU if there is one."""
    import torch

    wanted = settings().device
    return torch.device(wanted or (CUDA if torch.cuda.is_available() else "cpu"))


def missing_device() -> str | None:
    """Return why the GPU that this worker was started for cannot be used; None if it can or none was."""
    if settings().device != CUDA:
        return None
    # torch loads for this in the pool's child, where it will train.
    import torch

    if torch.cuda.is_available():
        return None
    cause = (
        "this torch is built without CUDA: install another build (TORCH_INDEX under compose)"
        if torch.version.cuda is None
        else "torch sees none: look at the driver, the container's devices and CUDA_VISIBLE_DEVICES"
    )
    return f"The worker was started for a GPU (PARETUNE_DEVICE=cuda), and {cause}."
