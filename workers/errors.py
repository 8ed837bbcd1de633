"""What can go wrong with a trial. A `TrialError` is reported as INFEASIBLE, with its message as reason."""


class TrialError(Exception):
    """The configuration cannot be trained."""


class NotANumber(TrialError):
    """The loss or a metric is not a finite number."""


class OutOfMemory(TrialError):
    """The configuration does not fit on the device: predicted, or after it ran out of memory."""


class TaskDataError(TrialError):
    """The task's data cannot serve this configuration."""


class UnsupportedBackbone(TrialError):
    """The backbone has no place where a chosen module could be attached."""


class TrialNotSaved(Exception):
    """The trained tensors cannot be written: the machine's fault, not the configuration's."""


class DiskFull(Exception):
    """This machine has no disk space for what a trial would save."""

    def __init__(self, reason: str, *, needed_bytes: int) -> None:
        super().__init__(reason)
        self.needed_bytes = needed_bytes


class ArtifactError(Exception):
    """A saved trial cannot be loaded."""


class UnfitInput(Exception):
    """A loaded network cannot read what it was given."""


ALLOCATION_FAILURES = ("DefaultCPUAllocator", "out of memory", "can't allocate memory", "bad_alloc")
"""What the libraries below write in an error when an allocation failed, on any device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that no memory was left."""
    import torch  # not at the top: the trial worker's parent process, which never trains, loads this module

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in ALLOCATION_FAILURES)
