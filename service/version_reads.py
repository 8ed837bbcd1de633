"""Which version a study is at for the holder of a key: one query answers all who ask at the same time.

Whoever asks while a query runs is answered by the next one, which begins after the question: nobody is
told of a version that had passed before the request came. Knows no HTTP.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

from psycopg import Connection, OperationalError
from sqlalchemy import ARRAY, String, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from service.access.keys import lets_in
from service.database import engine_of_single_reads
from service.models import ApiKey, Study


class Question(NamedTuple):
    """Which study, and who asks: the hash of a key."""

    study_id: str
    key_sha256: str


class Version(NamedTuple):
    """How far the study's events are numbered, and the id of the key that may read it."""

    event_sequence: int
    key_id: str


Answers = dict[Question, Version]


class VersionReads:
    """The questions of one process. Belongs to the event loop."""

    def __init__(self) -> None:
        # Of its own, so that polls do not wait behind slow requests.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="versions")
        self._questions: set[Question] = set()
        self._running: asyncio.Task[Answers] | None = None
        self._next: asyncio.Task[Answers] | None = None

    async def ask(self, question: Question) -> Version | None:
        """Give the version; None if the key may not read the study, or while the database is away."""
        self._questions.add(question)
        if self._next is None:
            self._next = asyncio.create_task(self._answer_after(self._running))
        # Others wait for the same answers.
        answers = await asyncio.shield(self._next)
        return answers.get(question)

    async def _answer_after(self, running: asyncio.Task[Answers] | None) -> Answers:
        if running is not None and not running.done():
            await asyncio.wait([running])
        questions, self._questions = self._questions, set()
        self._running, self._next = self._next, None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _read, tuple(questions))


def _read(questions: Sequence[Question]) -> Answers:
    try:
        pooled = engine_of_single_reads().raw_connection()
    except SQLAlchemyError:
        return {}  # the route meets it too, and says what to do
    try:
        # Past SQLAlchemy: compiling, checking and wrapping would cost twice what the query does.
        connection: Connection[tuple[str, str, int, str]] = pooled.driver_connection  # type: ignore[assignment]
        studies, keys = zip(*questions, strict=True)
        asked = {"study_ids": list(studies), "keys": list(keys)}
        rows = connection.execute(_query(), asked).fetchall()
    except OperationalError:
        pooled.invalidate()
        return {}
    finally:
        pooled.close()
    return {Question(study, key): Version(sequence, key_id) for study, key, sequence, key_id in rows}


@cache
def _query() -> bytes:
    texts = ARRAY(String())
    given = func.unnest(bindparam("study_ids", type_=texts), bindparam("keys", type_=texts))
    asked = given.table_valued("study_id", "key_sha256", name="asked").render_derived()
    query = (
        select(Study.id, ApiKey.sha256, Study.event_sequence, ApiKey.id)
        .select_from(asked)
        .join(Study, Study.id == asked.c.study_id)
        .join(ApiKey, (ApiKey.tenant_id == Study.tenant_id) & lets_in(asked.c.key_sha256))
    )
    return str(query.compile(engine_of_single_reads())).encode()
