"""What libraries say when no memory was left, on whatever device."""

import torch

ALLOCATION_FAILURES = ("DefaultCPUAllocator", "out of memory", "can't allocate memory", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that no memory was left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in ALLOCATION_FAILURES)
