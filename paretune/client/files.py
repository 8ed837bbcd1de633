"""Where files go and come from."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import httpx

UPLOAD_TIMEOUT = httpx.Timeout(30.0, read=300.0)
"""The server reads a whole table before it answers."""


CHUNK_BYTES = 2**16


def artifact_path(study_id: str, trial_id: str, name: str) -> str:
    """Give the path of a file that a trial left."""
    return f"/v1/studies/{study_id}/trials/{trial_id}/artifacts/{name}"


def upload_path(file: Path, name: str | None) -> str:
    """Give the path of a task file, under its own name or another one."""
    return f"/v1/task_files/{quote(name or file.name, safe='')}"


async def chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    """Give a file bit by bit, as an asynchronous client wants it."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
