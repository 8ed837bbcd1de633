"""End every stream when the process is told to stop.

The server waits for its connections before it tells the application that it stops, and a stream would
never end by itself. So the signals that stop the server are heard here, too.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from service.events.feed import EventFeed

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def closed_by_signals(feed: EventFeed) -> Iterator[None]:
    """Close the feed when a signal comes, then do what would have been done; at the end close it anyway."""
    if threading.current_thread() is not threading.main_thread():
        # Signals belong to the main thread; a server in another has no handlers of its own either.
        yield
        feed.close()
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def close(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(feed.close)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in SIGNALS:
        signal.signal(number, close)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        feed.close()
