"""The route of a study's events: a page of them, or a stream."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from api_schemas.events import EventPage, EventRead
from service.api.dependencies import SessionDep, TenantDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.event_stream import EventStream
from service.api.protocol.problems import documented
from service.api.read_models.requested_study import StudyId
from service.storage import event_log, queries

router = APIRouter(prefix="/v1/studies", tags=["events"], responses=documented(401, 404, 422, 503))

Sequence = Annotated[int, Query(ge=0, lt=2**31)]
SequenceToken = Annotated[int | None, Query(ge=0, lt=2**31)]
LastEventId = Annotated[int | None, Header(ge=0, lt=2**31)]
PageSize = Annotated[int, Query(ge=1, le=500)]

STREAM = {
    "description": "A page; or, with `Accept: text/event-stream`, events as they happen. "
    "There `id` is the sequence, `event` the type and `data` an `EventRead` in JSON.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
REFUSED: dict[int | str, dict[str, Any]] = {
    429: {
        **documented(429)[429],
        "description": "The key makes too many requests, or as many streams of its tenant (200 a process) or "
        "of the process (half of its connections) are open as may be. `Retry-After` says when to ask again.",
    }
}


@router.get(
    "/{study_id}/events", response_model=EventPage, responses={200: STREAM, **NOT_MODIFIED, **REFUSED}
)
def list_events(
    study_id: StudyId,
    request: Request,
    session: SessionDep,
    tenant_id: TenantDep,
    after: Sequence = 0,
    page_size: PageSize = 100,
    page_token: SequenceToken = None,
    last_event_id: LastEventId = None,
) -> EventPage | EventStream:
    """Read the events of a study, oldest first, after the number `after`.

    A stream begins after the last that `Last-Event-ID` or `after` names, and goes on until the study is
    deleted. After at most an hour the server ends it, and the client connects again.
    """
    queries.get_study(session, study_id, tenant_id=tenant_id)
    if "text/event-stream" in request.headers.get("accept", ""):
        start = max(after, last_event_id or 0)
        return EventStream(request.app.state.event_feed, study_id, tenant_id=tenant_id, after=start)
    start = after if page_token is None else page_token
    found = event_log.list_events(session, study_id, after=start, page_size=page_size)
    token = str(found[-1].sequence) if len(found) == page_size else None
    return EventPage(events=tuple(map(EventRead.model_validate, found)), next_page_token=token)
