"""Write tensors to a safetensors file, so that a full disk is an error and nothing worse."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_tensors(
    tensors: Mapping[str, Tensor], file: Path, *, metadata: dict[str, str] | None = None
) -> None:
    """Write the file.

    Raises:
        OSError: If it cannot be written; the library's own writer raises another class.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    file.write_bytes(save(whole, metadata=metadata))
