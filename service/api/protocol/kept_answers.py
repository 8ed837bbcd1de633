"""A cache of answers in this process: the last of each address, within a bound of bytes.

An entry counts with its address and what holds it, so that no run of small answers outgrows the bound.

One answer of an address is made at a time. Requests that come meanwhile wait for it, or for the next one if
the study had changed before they came. So no answer is older than its request, and many readers of a study
that changes all the time cost no more than one. Belongs to the event loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 16_000_000
MOST_BYTES_OF_ONE = 1_000_000
LONGEST_ADDRESS = 1_000
"""Characters. A client asks for what is longer once: parameters that are repeated, or made to fill memory."""
BYTES_OF_AN_ENTRY = 600
"""What Python takes for an answer beside its address, its headers and its body."""
BYTES_OF_A_HEADER = 150


@dataclass(frozen=True)
class KeptAnswer:
    """The headers and the body of an answer, the version that it shows, and the route that made it."""

    version: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    route: Any


Made = asyncio.Future[KeptAnswer | None]


def _size(address: str, answer: KeptAnswer) -> int:
    headers = sum(BYTES_OF_A_HEADER + len(name) + len(value) for name, value in answer.headers)
    return BYTES_OF_AN_ENTRY + len(address) + headers + len(answer.body)


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
            # A request that is cancelled must not cancel it for the others.
            made = await asyncio.shield(being_made)
            if made is None or made.version >= version:
                return made

    @contextmanager
    def making(self, address: str) -> Iterator["Making"]:
        """Mark an answer as being made, for the length of a block."""
        if address in self._being_made:
            # Several requests may make it at once after one gave up; only the first is waited for.
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
        """Keep an answer in the place of an older one; the least recently used ones are dropped."""
        before = self._answers.get(address)
        if before is not None and before.version > answer.version:
            return
        self._answers[address] = answer
        self._answers.move_to_end(address)
        self.bytes += _size(address, answer) - (0 if before is None else _size(address, before))
        while self.bytes > MOST_BYTES:
            self.bytes -= _size(*self._answers.popitem(last=False))

    def made(self, address: str, made: Made, answer: KeptAnswer | None) -> None:
        """Pass the answer to the requests that wait, and allow the next one to be made."""
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
        """Keep the answer, and pass it to all that wait for it."""
        if len(answer.body) <= MOST_BYTES_OF_ONE and len(self._address) <= LONGEST_ADDRESS:
            self._answers.keep(self._address, answer)
        if self._made is not None:
            self._answers.made(self._address, self._made, answer)

    def give_up(self) -> None:
        """Make the requests that wait make the answer themselves."""
        if self._made is not None:
            self._answers.made(self._address, self._made, None)
