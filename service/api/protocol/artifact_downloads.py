"""A file of a trial over HTTP: whole, in part, or only described.

Ranges after RFC 9110, section 14; the strong entity tag is the hash itself; digests after RFC 9530. A
`Range` that is malformed, in another unit or of several parts is ignored, which the RFC allows: the whole
file comes as 200. Knows no study and no database.
"""

import base64
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from api_schemas.trials import ArtifactRecord
from service.api.protocol.entity_tags import NOT_MODIFIED, matches_weakly
from service.api.protocol.problems import documented
from service.artifacts.artifact_store import artifact_store
from service.errors import ServiceError
from service.runtime.loop_local import LoopLocal

MEDIA_TYPE = "application/octet-stream"
# Those of requests must not wait for a store that stalls: heartbeats are among them.
THREADS = LoopLocal(partial(CapacityLimiter, 8))
"""Of a process, for chunks on their way from the store; a further download waits for its next one."""
# A position of more digits would be refused by Python before it could be called too large.
ONE_RANGE = re.compile(r"bytes=(?:([0-9]{1,1000})-([0-9]{0,1000})|-([0-9]{1,1000}))", re.IGNORECASE)


class ArtifactLost(ServiceError, status=HTTPStatus.GONE):
    """The file is no longer in the artifact store as it was saved.

    Its record is there, but the file was deleted or cut behind the service's back. Restore the store from a
    backup, or train the configuration again in a clone of the study.
    """


class RangeNotSatisfiable(ServiceError, status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
    """The range begins beyond the end of the file.

    `Content-Range` of the answer says how long the file is. Whoever resumes a download with this has all of
    it already, or something else.
    """

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The file has {size_bytes} bytes, counted from 0.")
        self.headers = {"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"}


class Part(NamedTuple):
    """Bytes from `start` up to `stop`, without it."""

    start: int
    stop: int


class Wanted(NamedTuple):
    """What a request says of the part it wants."""

    range: str | None
    if_range: str | None


def wanted(
    range_: Annotated[
        str | None,
        Header(alias="Range", description="`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`."),
    ] = None,
    if_range: Annotated[
        str | None,
        Header(description="The strong `ETag` of what is there already; if it is another, all comes."),
    ] = None,
) -> Wanted:
    """Read the headers."""
    return Wanted(range_, if_range)


WantedDep = Annotated[Wanted, Depends(wanted)]


def send(file: ArtifactRecord, request: Request, asked: Wanted) -> Response:
    """Answer a GET with the file, a part of it, or 304.

    Raises:
        RangeNotSatisfiable: If the part lies beyond its end.
        ArtifactLost: If it is not in the store as it was saved.
        ArtifactStoreAway: If the store cannot be asked.
    """
    if _is_known(file, request):
        return _not_modified(file)
    part = part_wanted(asked, size_bytes=file.size_bytes, tag=_tag(file))
    _check_stored(file)
    headers = _headers(file)
    start, stop = part or Part(0, file.size_bytes)
    if part is None:
        headers["Content-Digest"] = headers["Repr-Digest"]
    else:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    return StreamingResponse(
        _read_aside(artifact_store().read(file.path, start=start, stop=stop)),
        status_code=HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT,
        headers={**headers, "Content-Length": str(stop - start)},
        media_type=MEDIA_TYPE,
    )


def describe(file: ArtifactRecord, request: Request) -> Response:
    """Answer a HEAD: the headers of the whole file.

    Raises:
        ArtifactLost: If it is not in the store as it was saved.
        ArtifactStoreAway: If the store cannot be asked.
    """
    if _is_known(file, request):
        return _not_modified(file)
    _check_stored(file)
    headers = {**_headers(file), "Content-Digest": _digest(file), "Content-Length": str(file.size_bytes)}
    return Response(headers=headers, media_type=MEDIA_TYPE)


def part_wanted(asked: Wanted, *, size_bytes: int, tag: str) -> Part | None:
    """Return the part of a file that a request wants; None is all of it.

    Raises:
        RangeNotSatisfiable: If there is no such part.
    """
    match = ONE_RANGE.fullmatch((asked.range or "").strip())
    # `If-Range` compares strongly, and a date never equals: we send none (RFC 9110, section 13.1.5).
    if match is None or size_bytes == 0 or (asked.if_range is not None and asked.if_range.strip() != tag):
        return None
    first, last, length = match.groups()
    if length is not None:
        part = Part(max(0, size_bytes - int(length)), size_bytes)
    elif last and int(last) < int(first):
        return None  # malformed
    else:
        part = Part(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
    if part.start >= part.stop:
        raise RangeNotSatisfiable(size_bytes)
    return part


async def _read_aside(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await to_thread.run_sync(next, chunks, b"", limiter=THREADS.get()):
        yield chunk


def _check_stored(file: ArtifactRecord) -> None:
    size = artifact_store().size_bytes(file.path)
    if size is None:
        raise ArtifactLost(
            f"'{file.name}' is gone from the artifact store. Restore it from a backup, or train the "
            "configuration again in a clone of the study."
        )
    if size != file.size_bytes:
        raise ArtifactLost(
            f"'{file.name}' has {size} bytes in the artifact store and had {file.size_bytes} when it was "
            "saved. Restore it from a backup, or train the configuration again in a clone of the study."
        )


def _is_known(file: ArtifactRecord, request: Request) -> bool:
    return matches_weakly(", ".join(request.headers.getlist("if-none-match")), _tag(file))


def _not_modified(file: ArtifactRecord) -> Response:
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": _tag(file)})


def _headers(file: ArtifactRecord) -> dict[str, str]:
    return {
        "ETag": _tag(file),
        "Accept-Ranges": "bytes",
        "Repr-Digest": _digest(file),
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "X-Content-Type-Options": "nosniff",
    }


def _tag(file: ArtifactRecord) -> str:
    return f'"{file.sha256}"'


def _digest(file: ArtifactRecord) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:"


def _documented_headers(**descriptions: str) -> dict[str, Any]:
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in descriptions.items()
    }


_WITH_EVERY_ANSWER = _documented_headers(
    ETag="Strong: the file's SHA-256.",
    Accept_Ranges="`bytes`.",
    Repr_Digest="The SHA-256 of the whole file (RFC 9530).",
)
_CONTENT: Mapping[str, Any] = {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_WHOLE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "headers": _WITH_EVERY_ANSWER, "content": _CONTENT}
}
DESCRIBED = _WHOLE | NOT_MODIFIED | documented(410)
SENT: dict[int | str, dict[str, Any]] = {
    **_WHOLE,
    206: {
        "description": "The part that `Range` names.",
        "headers": _WITH_EVERY_ANSWER | _documented_headers(Content_Range="`bytes FIRST-LAST/SIZE`."),
        "content": _CONTENT,
    },
    **NOT_MODIFIED,
    **documented(410),
    416: {**documented(416)[416], "headers": _documented_headers(Content_Range="`bytes */SIZE`.")},
}
"""The answers of a download in the OpenAPI document."""
