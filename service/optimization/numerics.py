"""What numerics may raise on degenerate data. Anything else is a fault of ours and is not caught."""

import numpy as np
import torch
from botorch.exceptions.errors import BotorchError
from linear_operator.utils.errors import NanError, NotPSDError

FIT_FAILURES = (
    BotorchError,
    NotPSDError,
    NanError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]  # exported, but not in the stubs
    np.linalg.LinAlgError,
)
