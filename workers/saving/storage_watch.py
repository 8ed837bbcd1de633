"""Whether this worker could train, and keep what it trains; while not, it takes no trial and says why.

Otherwise a full disk, or a store that is away, would cost every waiting trial one attempt after another,
and a GPU worker whose GPU is gone would train on the CPU for days.
"""

import socket

import structlog

from service.artifacts.artifact_store import ArtifactStoreAway, artifact_store
from service.trials import worker_health
from workers.errors import DiskFull
from workers.measuring.devices import missing_device
from workers.saving.disk_space import what_to_free

log = structlog.get_logger(__name__)


class StorageWatch:
    """Remembers how much room the last trial wanted that was given back for lack of it."""

    def __init__(self) -> None:
        self._needed_bytes = 0
        self._degraded = False

    def lacks(self, error: DiskFull) -> None:
        """Take no trial until there is as much room as this one wanted."""
        self._needed_bytes = error.needed_bytes
        self._report(str(error))

    def is_usable(self) -> bool:
        """See whether trials can be trained and kept, and tell the operator when that has changed."""
        reason = self._what_is_wrong()
        if reason is not None:
            self._report(reason)
        elif self._degraded:
            log.info("taking trials again")
            worker_health.report_well(socket.gethostname())
            self._degraded, self._needed_bytes = False, 0
        return reason is None

    def _what_is_wrong(self) -> str | None:
        missing = missing_device()
        if missing is not None:
            return missing
        try:
            store = artifact_store()
            store.check()
            free = store.free_bytes()
        except ArtifactStoreAway as error:
            return error.detail
        if free >= self._needed_bytes:
            return None
        return what_to_free(store, free=free, needed=self._needed_bytes)

    def _report(self, reason: str) -> None:
        # Told again and again to the database, which forgets it, and once to the log, which does not.
        worker_health.report_degraded(socket.gethostname(), reason=reason)
        if not self._degraded:
            log.error("taking no trials", reason=reason)
        self._degraded = True
