"""Read server-sent events as they come in, and know where to go on (WHATWG HTML, section 9.2).

Takes bytes and gives events; opens no connection.
"""

from collections.abc import Iterator

from api_schemas.events import EventRead


class EventReader:
    """The events of one study, across as many connections as it takes."""

    def __init__(self, *, after: int) -> None:
        self.last_sequence = after
        self._rest = b""

    def reconnect(self) -> dict[str, str]:
        """Forget what was cut off; return the headers that go on after the last whole event."""
        self._rest = b""
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self.last_sequence)}

    def take(self, received: bytes) -> Iterator[EventRead]:
        """Yield the events that are complete now; comments and unknown fields are ignored."""
        *messages, self._rest = (self._rest + received).split(b"\n\n")
        for message in messages:
            lines = [line.partition(b":") for line in message.split(b"\n")]
            data = b"\n".join(value.removeprefix(b" ") for name, _, value in lines if name == b"data")
            if data:
                event = EventRead.model_validate_json(data)
                self.last_sequence = event.sequence
                yield event
