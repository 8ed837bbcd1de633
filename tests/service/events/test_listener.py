"""Listening goes on, whatever happens to it."""

import asyncio

import pytest

from service.events import listener
from service.events.feed import EventFeed


class FaultyFeed(EventFeed):
    """Fails when it is rung for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = 0

    def ring_all(self) -> None:
        self.rung += 1
        if self.rung == 1:
            raise ValueError("nobody foresaw this")
        super().ring_all()


def test_an_unexpected_error_does_not_end_the_listening(
    service_environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said with its traceback, and the bells ring again soon."""
    monkeypatch.setattr(listener, "PAUSE_SECONDS", 0.01)
    feed = FaultyFeed()

    async def run() -> None:
        task = asyncio.create_task(listener.listen(feed))
        async with asyncio.timeout(20):
            while feed.rung < 2 and not task.done():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert feed.rung == 2
    assert "nobody foresaw this" in capsys.readouterr().out
