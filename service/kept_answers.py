"""Answers as they left this process, in memory: of each address the last, by its tag, while there is room.

What is asked for while it is being made is made once. Whoever asks has been let in by then, and is told the
version that was current after the question, or a later one. Belongs to the event loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 16_000_000
MOST_BYTES_OF_ONE = 1_000_000


@dataclass(frozen=True)
class KeptAnswer:
    """The headers and the body of an answer, and the route that made it."""

    tag: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    route: Any


class KeptAnswers:
    """The answers of one process."""

    def __init__(self) -> None:
        self.bytes = 0
        self._answers: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._being_made: dict[str, asyncio.Future[KeptAnswer | None]] = {}

    async def find(self, address: str, tag: str) -> KeptAnswer | None:
        """Give an answer that is kept, or one that another is about to get; None if there is neither."""
        answer = self._answers.get(address)
        if answer is not None and answer.tag == tag:
            self._answers.move_to_end(address)
            return answer
        being_made = self._being_made.get(tag)
        # One who gives up must not end it for the others.
        return None if being_made is None else await asyncio.shield(being_made)

    @contextmanager
    def making(self, address: str, tag: str) -> Iterator["Making"]:
        """Tell others for the length of a block that the answer is being made."""
        made = self._being_made.get(tag)
        if made is not None:
            # The one before told those who waited for it to ask for themselves.
            yield Making(self, address, None)
            return
        made = self._being_made[tag] = asyncio.get_running_loop().create_future()
        making = Making(self, address, made)
        try:
            yield making
        finally:
            making.give_up()
            del self._being_made[tag]

    def keep(self, address: str, answer: KeptAnswer) -> None:
        """Keep an answer in the place of the one before; what has not been asked for longest makes room."""
        before = self._answers.pop(address, None)
        self.bytes += len(answer.body) - (0 if before is None else len(before.body))
        self._answers[address] = answer
        while self.bytes > MOST_BYTES:
            _, oldest = self._answers.popitem(last=False)
            self.bytes -= len(oldest.body)


class Making:
    """One answer on its way; it ends as an answer, or as none that can be kept."""

    def __init__(
        self, answers: KeptAnswers, address: str, made: "asyncio.Future[KeptAnswer | None] | None"
    ) -> None:
        self._answers = answers
        self._address = address
        self._made = made

    def end(self, answer: KeptAnswer) -> None:
        """Keep it, and give it to all who wait for it."""
        if len(answer.body) <= MOST_BYTES_OF_ONE:
            self._answers.keep(self._address, answer)
        if self._made is not None and not self._made.done():
            self._made.set_result(answer)

    def give_up(self) -> None:
        """Let those who wait ask for themselves."""
        if self._made is not None and not self._made.done():
            self._made.set_result(None)
