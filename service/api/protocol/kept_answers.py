"""Answers as they left this process, in memory: of each address the last, while there is room.

Of one address one answer is made at a time. Whoever asks meanwhile waits for it, and if the study had changed
before the question, for the next: nobody is told what had passed before the question came, and a crowd that
reads what changes all the time costs no more than one who does. Belongs to the event loop.
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
    """The headers and the body of an answer, the version that it shows, and the route that made it."""

    version: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    route: Any


Made = asyncio.Future[KeptAnswer | None]


class KeptAnswers:
    """The answers of one process."""

    def __init__(self) -> None:
        self.bytes = 0
        self._answers: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._being_made: dict[str, Made] = {}

    async def find(self, address: str, version: int) -> KeptAnswer | None:
        """Return an answer that shows a version or a later one; None if the caller is to make it."""
        while True:
            answer = self._answers.get(address)
            if answer is not None and answer.version >= version:
                self._answers.move_to_end(address)
                return answer
            being_made = self._being_made.get(address)
            if being_made is None:
                return None
            # One who gives up must not end it for the others.
            made = await asyncio.shield(being_made)
            if made is None or made.version >= version:
                return made

    @contextmanager
    def making(self, address: str) -> Iterator["Making"]:
        """Tell others for the length of a block that the answer is being made."""
        if address in self._being_made:
            # The one before told those who waited for it to ask for themselves, each alone.
            yield Making(self, address, None)
            return
        made: Made = asyncio.get_running_loop().create_future()
        self._being_made[address] = made
        making = Making(self, address, made)
        try:
            yield making
        finally:
            making.give_up()

    def keep(self, address: str, answer: KeptAnswer) -> None:
        """Keep an answer in the place of an older one; what has not been asked for longest makes room."""
        before = self._answers.get(address)
        if before is not None and before.version > answer.version:
            return
        self._answers[address] = answer
        self._answers.move_to_end(address)
        self.bytes += len(answer.body) - (0 if before is None else len(before.body))
        while self.bytes > MOST_BYTES:
            _, oldest = self._answers.popitem(last=False)
            self.bytes -= len(oldest.body)

    def made(self, address: str, made: Made, answer: KeptAnswer | None) -> None:
        """Give those who wait what they wait for, and let another make the next."""
        if self._being_made.get(address) is made:
            del self._being_made[address]
            made.set_result(answer)


class Making:
    """One answer on its way; it ends as an answer, or as none that can be kept."""

    def __init__(self, answers: KeptAnswers, address: str, made: Made | None) -> None:
        self._answers = answers
        self._address = address
        self._made = made

    def end(self, answer: KeptAnswer) -> None:
        """Keep it, and give it to all who wait for it."""
        if len(answer.body) <= MOST_BYTES_OF_ONE:
            self._answers.keep(self._address, answer)
        if self._made is not None:
            self._answers.made(self._address, self._made, answer)

    def give_up(self) -> None:
        """Let those who wait ask for themselves."""
        if self._made is not None:
            self._answers.made(self._address, self._made, None)
