"""Whether this machine has room for what trials will save. Loads no torch."""

from service.artifacts.artifact_store import ArtifactStore
from workers.errors import DiskFull

COPIES = 2
"""Of the trained tensors: under our names, and in the format of HF `peft`."""
RESERVE_BYTES = 2**24
"""For what is beside the tensors, and for what others write meanwhile."""


def require_disk_space(tensor_bytes: int, *, store: ArtifactStore) -> None:
    """See before a training whether there is room for its result; 0 bytes are not saved, and need none.

    Raises:
        DiskFull: If not.
    """
    needed = RESERVE_BYTES + COPIES * tensor_bytes
    free = store.free_bytes()
    if tensor_bytes and free < needed:
        raise DiskFull(what_to_free(store, free=free, needed=needed), needed_bytes=needed)


def what_to_free(store: ArtifactStore, *, free: int, needed: int) -> str:
    """Return what to free."""
    return (
        f"{store.writing_place} has {free:,} bytes free, and saving a trial takes {needed:,}. Free space "
        "there: delete studies that are no longer needed, or move PARETUNE_ARTIFACTS_URL."
    )
