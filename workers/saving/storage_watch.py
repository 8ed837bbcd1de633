"""Whether this worker can train and save its results; while it cannot, it takes no trial and reports why.

Otherwise a full disk or an unreachable store would cost every waiting trial one attempt after another, and a
GPU worker whose GPU is gone would train on the CPU for days.
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
    """Remembers how much disk space the last trial needed that was given back for lack of it."""

    def __init__(self) -> None:
        self._needed_bytes = 0
        self._degraded = False

    def wait_for_space(self, error: DiskFull) -> None:
        """Take no trial until there is as much disk space as this error names."""
        self._needed_bytes = error.needed_bytes
        self._report(str(error))

    def is_usable(self) -> bool:
        """Return whether trials can be trained and saved; report to the operator when that changes."""
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
        # The database forgets it, so it is reported each time; the log does not, so it is logged once.
        worker_health.report_degraded(socket.gethostname(), reason=reason)
        if not self._degraded:
            log.error("taking no trials", reason=reason)
        self._degraded = True
