"""Where files go and come from. Sends nothing itself."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import httpx

from paretune.client.requests import USUAL, segment
from paretune.client.retries import Failure, Retries
from paretune.errors import DamagedDownload

UPLOAD_TIMEOUT = httpx.Timeout(30.0, read=300.0)
"""The server reads a whole table before it answers."""

CHUNK_BYTES = 2**16
SHA_256 = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")
"""In `Repr-Digest` (RFC 9530)."""


def artifact_path(study_id: str, trial_id: str, name: str) -> str:
    """Return the path of a file that a trial left."""
    return f"/v1/studies/{segment(study_id)}/trials/{segment(trial_id)}/artifacts/{segment(name)}"


def upload_path(file: Path, name: str | None) -> str:
    """Return the path of a task file, under its own name or another one."""
    return f"/v1/task_files/{segment(name or file.name)}"


async def chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield a file bit by bit, as an asynchronous client wants it."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class IncomingFile:
    """A download: it grows beside its target, survives lost connections, and moves there once it is whole.

    What has come stays if the download is given up, and the next one of the same file goes on from it.
    """

    def __init__(self, target: Path, *, trial_id: str) -> None:
        self._target = target
        self._partial = target.with_name(f".{target.name}.{trial_id}.partial")
        self._tag: str | None = None
        self._retries = Retries(USUAL)
        self._had_bytes = self._bytes()

    def headers(self) -> dict[str, str]:
        """Ask for what is missing, and for all of it should it have changed since."""
        asked = {"Accept-Encoding": "identity"}
        if self._bytes():
            asked["Range"] = f"bytes={self._bytes()}-"
            if self._tag is not None:
                asked["If-Range"] = self._tag
        return asked

    def open(self, response: httpx.Response) -> BinaryIO:
        """Open the place of the answer's body."""
        self._tag = response.headers.get("ETag")
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        return self._partial.open("ab" if resumed else "wb")

    def finish(self, response: httpx.Response) -> None:
        """Check the whole file, and put it in its place.

        Raises:
            DamagedDownload: If it is not what the server has; nothing is left of it then.
        """
        found = SHA_256.search(response.headers.get("Repr-Digest", ""))
        with self._partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        if found is not None and base64.b64decode(found[1]) != digest:
            self._partial.unlink()
            raise DamagedDownload(f"{self._target.name} arrived damaged and was removed. Download it again.")
        self._partial.replace(self._target)

    def pause_after(self, failure: Failure) -> float | None:
        """Return the seconds until the next try; None if there is none."""
        if (
            isinstance(failure, httpx.Response)
            and failure.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
        ):
            # What is here is no beginning of it.
            self._partial.unlink(missing_ok=True)
            return 0.0
        if self._bytes() > self._had_bytes:
            self._had_bytes, self._retries = self._bytes(), Retries(USUAL)
        return self._retries.pause_after(failure)

    def _bytes(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0
