"""Entity tags (RFC 9110, section 8.8.3): names of what a URL showed at one moment.

A tag of a study's resource is made from the URL and the study's version, so that it is known before
anything is read: `event_sequence` grows with every change that can be seen (a test holds it to that).
"""

import hashlib
import re
from functools import cache
from importlib.metadata import version
from typing import Any

from service.storage.schema_version import expected_revision

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is what `If-None-Match` names."}}
"""The answer of a conditional read in the OpenAPI document."""

TAG = re.compile(r'(W/)?("[^"]*")')


def tag_of_version(path: str, query: str, *, study_version: int) -> str:
    """Return the strong tag of a study's resource at a version of the study."""
    return _quoted(f"{_release()}\n{path}?{query}\n{study_version}".encode())


def tag_of_body(body: bytes) -> str:
    """Return the strong tag of an answer by its bytes."""
    return _quoted(body)


def matches_weakly(header: str, tag: str) -> bool:
    """Return whether `If-None-Match` names the tag (RFC 9110, section 13.1.2)."""
    return header.strip() == "*" or any(opaque == tag for _, opaque in TAG.findall(header))


def matches_strongly(header: str, tag: str) -> bool:
    """Return whether `If-Match` names the tag; a weak tag never does (RFC 9110, section 13.1.1)."""
    return header.strip() == "*" or any(opaque == tag and not weak for weak, opaque in TAG.findall(header))


@cache
def _release() -> str:
    # Another release may show the same rows in another way.
    return f"{version('paretune')} {expected_revision()}"


def _quoted(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
