"""Server-sent events in whatever pieces the network makes of them."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api_schemas.events import EventRead, EventType
from paretune.event_stream import EventReader

EVENTS = [
    EventRead(
        study_id="std_1", sequence=number, type=EventType.FRONT_STORED, trial_id=None, attempt=None,
        body={"text": "a\u2028b\x85c\n\nd: é"}, recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    for number in (1, 2, 3)
]  # fmt: skip
WIRE = b"retry: 2000\n\n" + b": still here\n\n".join(
    f"event: {event.type}\ndata: {event.model_dump_json()}\nid: {event.sequence}\n\n".encode()
    for event in EVENTS
)


@given(cuts=st.lists(st.integers(0, len(WIRE)), max_size=20))
def test_pieces_make_the_same_events(cuts: list[int]) -> None:
    """Comments are no events, and line separators of Unicode end no line."""
    reader = EventReader(after=0)
    ends = sorted({0, len(WIRE), *cuts})
    found = [event for start, end in pairwise(ends) for event in reader.take(WIRE[start:end])]
    assert found == EVENTS


@given(cut=st.integers(0, len(WIRE)))
def test_half_an_event_is_asked_for_again(cut: int) -> None:
    """The position is that of the last whole event, and the torn half is forgotten."""
    reader = EventReader(after=0)
    whole = list(reader.take(WIRE[:cut]))
    headers = reader.reconnect()
    assert headers == {"Accept": "text/event-stream", "Last-Event-ID": str(len(whole))}
    assert list(reader.take(b": still here\n\n")) == []
