"""What every part is given."""

from dataclasses import dataclass

import psutil

from benchmarks.service.load import Connection


@dataclass(frozen=True)
class Context:
    """The server under measurement, and how long each load lasts."""

    url: str
    api_key: str
    api_pid: int
    seconds: float

    def connect(self) -> Connection:
        """Open a connection of its own."""
        return Connection(self.url, api_key=self.api_key)

    def api_megabytes(self) -> float:
        """Read the resident size of the API process, in MiB."""
        return round(psutil.Process(self.api_pid).memory_info().rss / 2**20, 1)
