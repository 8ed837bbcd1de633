"""Wait until something of interest happens to a study, and say what is seen meanwhile. Knows no protocol."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from enum import StrEnum

from api_schemas.events import EventRead, EventType
from paretune.client import AsyncClient
from paretune.client.asking import ENDING_EVENTS, has_ended
from paretune.mcp_server.answers import StudyProgress, event_summary, study_summary

MOST_EVENTS = 50

Seen = Callable[[EventRead], Awaitable[None]]


class WaitFor(StrEnum):
    """What ends the waiting."""

    ANY_EVENT = "any_event"
    TRIAL_ENDED = "trial_ended"
    STUDY_ENDED = "study_ended"


TRIAL_ENDED = frozenset(
    {
        EventType.TRIAL_SUCCEEDED,
        EventType.TRIAL_INFEASIBLE,
        EventType.TRIAL_FAILED,
        EventType.TRIAL_STOPPED_EARLY,
        EventType.TRIAL_CANCELLED,
    }
)
ENDS = {
    WaitFor.ANY_EVENT: frozenset(EventType),
    WaitFor.TRIAL_ENDED: TRIAL_ENDED | ENDING_EVENTS,
    WaitFor.STUDY_ENDED: ENDING_EVENTS,
}


async def watch(
    client: AsyncClient,
    study_id: str,
    *,
    after_event: int | None,
    wait_seconds: float,
    wait_for: WaitFor,
    seen: Seen,
) -> StudyProgress:
    """Return what has happened since an event; where nothing of interest has, wait for it.

    Without an event to begin after, past events are returned and not taken for news. A study
    that has ended is not waited for.
    """
    events: deque[EventRead] = deque(maxlen=MOST_EVENTS)
    first, last, is_over = after_event or 0, after_event or 0, False
    async for event in client.past_events(study_id, after=first):
        events.append(event)
        last = event.sequence
        is_over = is_over or (after_event is not None and event.type in ENDS[wait_for])
    study = await client.get_study(study_id)
    if wait_seconds > 0 and not is_over and not has_ended(study):

        async def take(event: EventRead) -> bool:
            events.append(event)
            await seen(event)
            return event.type in ENDS[wait_for]

        await _wait(client.events(study_id, after=last), seconds=wait_seconds, until=take)
        study = await client.get_study(study_id)
    last = events[-1].sequence if events else last
    return StudyProgress(
        study=study_summary(study),
        events=tuple(map(event_summary, events)),
        omitted_events=max(0, last - first - len(events)),
        last_event=last,
    )


async def _wait(
    events: AsyncGenerator[EventRead, None], *, seconds: float, until: Callable[[EventRead], Awaitable[bool]]
) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), aclosing(events):
            async for event in events:
                if await until(event):
                    return
