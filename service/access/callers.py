"""Whose key a request carries, and the version of the study in its path: one query for all waiting requests.

A request that comes while a query runs is answered by the next one, which begins after it. So a key that was
revoked before the request is refused, and the version is never older than the request. Knows no HTTP.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import structlog
from psycopg import Connection, OperationalError
from psycopg.rows import namedtuple_row
from sqlalchemy import ARRAY, String, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from service.access.keys import Caller, caller_of, identity
from service.errors import DatabaseAway
from service.storage.database import engine_of_single_reads
from service.storage.models import ApiKey, Study

log = structlog.get_logger(__name__)


class Question(NamedTuple):
    """The hash of a key, and the id of a study; without one, only the caller is asked for."""

    key_sha256: str
    study_id: str = ""


class Answer(NamedTuple):
    """The caller, or why the key is refused, in a sentence; and the version of the study, if it is theirs."""

    caller: Caller | str
    study_version: int | None = None


Answers = dict[Question, Answer]
UNKNOWN = Answer("This API key is not known here. Check PARETUNE_API_KEY.")


class CallerReads:
    """The questions of one process. Belongs to the event loop."""

    def __init__(self) -> None:
        self._questions: set[Question] = set()
        self._running: asyncio.Task[Answers] | None = None
        self._next: asyncio.Task[Answers] | None = None

    async def ask(self, question: Question) -> Answer:
        """Return the caller and the study's version.

        Raises:
            DatabaseAway: If the database does not answer.
        """
        self._questions.add(question)
        if self._next is None:
            self._next = asyncio.create_task(self._answer_after(self._running))
        # Others wait for the same answers.
        answers = await asyncio.shield(self._next)
        return answers.get(question, UNKNOWN)

    async def _answer_after(self, running: asyncio.Task[Answers] | None) -> Answers:
        if running is not None and not running.done():
            await asyncio.wait([running])
        questions, self._questions = self._questions, set()
        self._running, self._next = self._next, None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(_thread(), _read, tuple(questions))
        finally:
            # A finished task would keep its event loop, and so this object, alive.
            if self._running is asyncio.current_task():
                self._running = None


@cache
def _thread() -> ThreadPoolExecutor:
    """Return the process's one thread for these reads, so that no caller waits behind slow requests."""
    return ThreadPoolExecutor(1, thread_name_prefix="callers")


def _read(questions: Sequence[Question]) -> Answers:
    try:
        return _read_once(questions)
    except OperationalError:
        # An idle connection had died, or the database is away; a new connection shows which.
        try:
            return _read_once(questions)
        except OperationalError as error:
            raise _away(error) from error


def _read_once(questions: Sequence[Question]) -> Answers:
    try:
        pooled = engine_of_single_reads().raw_connection()
    except SQLAlchemyError as error:
        raise _away(error) from error
    try:
        # Without SQLAlchemy, whose overhead would be twice the time of the query.
        connection: Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
        keys, studies = zip(*questions, strict=True)
        parameters = {"keys": list(keys), "study_ids": list(studies)}
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            rows: list[Any] = cursor.execute(_query(), parameters).fetchall()
    except OperationalError:
        pooled.invalidate()
        raise
    finally:
        pooled.close()
    return {
        Question(row.key_sha256, row.study_id): Answer(caller_of(row), row.event_sequence) for row in rows
    }


@cache
def _query() -> bytes:
    texts = ARRAY(String())
    given = func.unnest(bindparam("keys", type_=texts), bindparam("study_ids", type_=texts))
    asked = given.table_valued("key_sha256", "study_id", name="asked").render_derived()
    query = (
        select(asked.c.key_sha256, asked.c.study_id, *identity(), Study.event_sequence)
        .select_from(asked)
        .join(ApiKey, ApiKey.sha256 == asked.c.key_sha256)
        .outerjoin(Study, (Study.id == asked.c.study_id) & (Study.tenant_id == ApiKey.tenant_id))
    )
    return str(query.compile(engine_of_single_reads())).encode()


def _away(error: Exception) -> DatabaseAway:
    log.warning("the database is away; nobody can be let in", reason=type(error).__name__)
    return DatabaseAway("The request was not carried out. Trials that run go on; try again in a few seconds.")
