"""End every stream when the process is told to stop.

The server waits for its connections before it shuts the application down, and a stream never ends by itself.
So the signals that stop the server are handled here, too.
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
    """Close the feed on a signal, then call the previous handler; close it at the end in any case."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread gets signals; a server in another thread has no handlers either.
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
