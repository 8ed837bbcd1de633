"""Is the process up, and can it serve?"""

from http import HTTPStatus

from alembic.runtime.migration import MigrationContext
from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api_schemas.errors import FieldError
from service.api.protocol.problems import documented
from service.artifacts.artifact_store import ArtifactStoreAway, artifact_store
from service.errors import ServiceError
from service.runtime.broker import why_not_written
from service.runtime.disk_space import lack_of_space
from service.settings import settings
from service.storage.database import engine
from service.storage.heartbeats import seconds_since_sweep
from service.storage.schema_version import expected_revision, is_known
from service.trials.worker_health import degraded_hosts

router = APIRouter(tags=["health"])

SWEEPS_MISSED = 20
"""A sweeper that is later than this many of its intervals is not late but gone."""


class NotReady(ServiceError, status=HTTPStatus.SERVICE_UNAVAILABLE):
    """The service cannot take work yet.

    The answer says whether the database, its schema, the sweeper or the artifact store is missing.
    """


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    # Asynchronous: all threads may be at work.
    return {"status": "ok"}


@router.get("/readyz", responses=documented(503))
def readyz() -> dict[str, str]:
    """Say that the stores answer, the schema is this version's, and lost trials are looked for.

    Degraded: it serves, but what it needs for work refuses it, the broker, a disk, or workers say so.

    Raises:
        NotReady: If any of it does not hold; `errors` has each reason.
    """
    try:
        with Session(engine()) as session:
            current = MigrationContext.configure(session.connection()).get_current_revision()
            reasons = _wrong_schema(current) or _silent_sweeper(session)
            degraded = 0 if reasons else degraded_hosts(session)
    except SQLAlchemyError as error:
        reason = "The database does not answer. Check DATABASE_URL and its server."
        raise NotReady(reason, errors=[FieldError(pointer="/database", detail=reason)]) from error
    reasons += _store_away()
    if reasons:
        raise NotReady(" ".join(reason.detail for reason in reasons), errors=reasons)
    lacking = [*_idle_workers(degraded), *_silent_broker(), *_full_disks()]
    if lacking:
        return {"status": "degraded", "detail": " ".join(lacking)}
    return {"status": "ready"}


def _idle_workers(hosts: int) -> list[str]:
    if not hosts:
        return []
    return [f"Trial workers on {hosts} host(s) take no trials; their log says what to free or mend."]


def _silent_broker() -> list[str]:
    reason = why_not_written()
    if reason is None:
        return []
    return [f"The broker takes no wake-ups: {reason}. Studies and trials of its workers stand still."]


def _full_disks() -> list[str]:
    places = {"artifact store": artifact_store().folder, "folder of uploads": settings().data_dir}
    reasons = {what: lack_of_space(folder) for what, folder in places.items() if folder is not None}
    return [f"The disk of the {what} {reason}: make room." for what, reason in reasons.items() if reason]


def _wrong_schema(current: str | None) -> list[FieldError]:
    if current == expected_revision():
        return []
    cure = (
        f"this version needs {expected_revision()}: run `paretune migrate`."
        if current is None or is_known(current)
        else "this version does not know that: start the version that made it."
    )
    return [FieldError(pointer="/migrations", detail=f"The schema is at {current}, {cure}")]


def _silent_sweeper(session: Session) -> list[FieldError]:
    silent, allowed = seconds_since_sweep(session), SWEEPS_MISSED * settings().sweep_seconds
    if silent is not None and -allowed <= silent <= allowed:
        return []
    if silent is not None and silent < 0:
        detail = (
            f"The last sweep lies {-silent:.0f} s ahead: the database's clock went back, and no "
            "sweep was done since. See the log of the API."
        )
        return [FieldError(pointer="/sweeper", detail=detail)]
    since = "has never run" if silent is None else f"has not run for {silent:.0f} s"
    detail = f"The sweeper, which takes trials back from silent workers, {since}; see the log of the API."
    return [FieldError(pointer="/sweeper", detail=detail)]


def _store_away() -> list[FieldError]:
    try:
        artifact_store().check()
    except ArtifactStoreAway as error:
        return [FieldError(pointer="/artifacts", detail=error.detail)]
    return []
