"""The last lines of a log: kept as they come, made fit to be stored and shown when they are read.

Adding a line costs an append; whoever trains pays nothing else. Knows no process, no network and no database.
"""

import itertools
import re
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from api_schemas.redaction import redacted

MOST_LINES = 200
MOST_BYTES = 16_384
LONGEST_LINE = 2_000
"""Characters of a line that are shown."""
READ_OF_A_LINE = 2 * LONGEST_LINE
"""Characters of a line that are looked at: a secret across the cut is found whole."""
CUT = " […]"

ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours and moves of the cursor
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links
    r"|[ -/]*[0-~])"
)
CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
PROGRESS = "%|"
"""What a line of a progress bar holds."""


@dataclass(frozen=True)
class LastLines:
    """Lines as they may be stored and shown, with how many there were before them."""

    text: str
    omitted_lines: int


class LogTail:
    """The last lines of a log that grows; several threads may add to it, and another one read."""

    def __init__(self, *, secrets: Collection[str] = ()) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=MOST_LINES)
        self._numbers = itertools.count(1)
        self._secrets = secrets
        # Reentrant: a signal may break into `add`, and its handler say something.
        self._adding = threading.RLock()
        self._version = 0
        self._seen = 0

    def add(self, text: str) -> None:
        """Add a line, or several. Of a progress bar only the last state stays."""
        with self._adding:
            for line in text.rstrip("\n").split("\n"):
                shown = line.rstrip("\r").rpartition("\r")[2][:READ_OF_A_LINE]
                if PROGRESS in shown and self._lines and PROGRESS in self._lines[-1][1]:
                    self._lines[-1] = (self._lines[-1][0], shown)
                else:
                    self._lines.append((next(self._numbers), shown))
            self._version += 1

    def news(self) -> tuple[int, LastLines] | None:
        """Return the last lines with their version; None if that was `seen` already."""
        version = self._version
        return None if version == self._seen else (version, self.read())

    def seen(self, version: int) -> None:
        """Note that whoever asks for news has got this version."""
        self._seen = version

    def read(self) -> LastLines:
        """Return the last lines within the bounds, without secrets, escapes and control characters."""
        lines = list(self._lines)
        kept: list[str] = []
        size = 0
        for _, line in reversed(lines):
            shown = _shown(line, secrets=self._secrets)
            size += len(shown.encode()) + 1
            if size > MOST_BYTES:
                break
            kept.append(shown)
        first = lines[-len(kept)][0] if kept else 1
        return LastLines("\n".join(reversed(kept)), first - 1)


def last_lines(text: str) -> LastLines:
    """Return the last lines of a text as they may be stored and shown."""
    tail = LogTail()
    tail.add(text)
    return tail.read()


def _shown(line: str, *, secrets: Collection[str]) -> str:
    plain = CONTROLS.sub("", ESCAPES.sub("", line)).encode("utf-8", "replace").decode()
    clean = redacted(plain, secrets=secrets)
    return clean if len(clean) <= LONGEST_LINE else clean[: LONGEST_LINE - len(CUT)] + CUT
