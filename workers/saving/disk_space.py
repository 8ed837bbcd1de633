"""Whether there is disk space for what trials will save. Loads no torch."""

from service.artifacts.artifact_store import ArtifactStore
from workers.errors import DiskFull

COPIES = 2
"""Of the saved tensors: under our names, and in the format of HF `peft`."""
RESERVE_BYTES = 2**24
"""For the other files of a trial, and for what other processes write meanwhile."""


def require_disk_space(tensor_bytes: int, *, store: ArtifactStore) -> None:
    """Check before a training that its result can be saved; 0 bytes are not saved.

    Raises:
        DiskFull: If there is not enough space.
    """
    if not tensor_bytes:
        return
    needed, free = RESERVE_BYTES + COPIES * tensor_bytes, store.free_bytes()
    if free < needed:
        raise DiskFull(what_to_free(store, free=free, needed=needed), needed_bytes=needed)


def what_to_free(store: ArtifactStore, *, free: int, needed: int) -> str:
    """Return how much space is lacking where, and what to do."""
    return (
        f"{store.writing_place} has {free:,} bytes free, and saving a trial takes {needed:,}. Free space "
        "there: delete studies that are no longer needed, or move PARETUNE_ARTIFACTS_URL."
    )
