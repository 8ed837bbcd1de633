"""Is the process up, and can it serve?"""

from http import HTTPStatus

from alembic.runtime.migration import MigrationContext
from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.database import engine
from service.errors import ServiceError
from service.problems import documented
from service.schema_version import expected_revision

router = APIRouter(tags=["health"])


class NotReady(ServiceError):
    """The service cannot take work yet.

    The answer says whether the database or its schema is missing.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "not-ready"


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses=documented(503))
def readyz() -> dict[str, str]:
    """Say that the database answers and its schema is this version's.

    Raises:
        NotReady: If either does not hold.
    """
    try:
        with Session(engine()) as session:
            session.execute(text("SELECT 1"))
            current = MigrationContext.configure(session.connection()).get_current_revision()
    except SQLAlchemyError as error:
        raise NotReady("The database does not answer. Check DATABASE_URL and its server.") from error
    if current != expected_revision():
        raise NotReady(
            f"The schema is at {current}, this version needs {expected_revision()}: run `paretune migrate`."
        )
    return {"status": "ready"}
