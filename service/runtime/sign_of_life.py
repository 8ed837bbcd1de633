"""A file that a worker touches while it hears wake-ups, for the health check of its container.

Celery's own event loop touches it. That goes on while a trial trains in a child, however long, and stops
while the worker waits for its broker. Asks nobody over the network.
"""

from typing import Any

from celery.bootsteps import StartStopStep

from service.settings import settings

SECONDS = 10.0


class SignOfLife(StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """A step of Celery's consumer, begun anew with each connection to the broker."""

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        """Touch the file of the settings now and then. If that fails the loop logs it and goes on."""
        file = settings().alive_file
        if file is not None:
            hub.call_later(0, file.touch)
            hub.call_repeatedly(SECONDS, file.touch)
