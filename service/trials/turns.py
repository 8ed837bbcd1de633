"""A study's turn at the study worker: which is next, which worker has it, and what happens when it fails.

A turn is counted in the database before any work, and the count is cleared once the work is done: a study
that kills its worker, exceeds its time or fails several times is paused with its reason, and others go on.
Turns go round the tenants. Holders renew a lease by the database's clock, as trial runners do, and a holder
that has lost its turn changes nothing. Knows neither optimiser nor broker.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import structlog
from sqlalchemy import func, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from api_schemas.studies import StudyState
from service.settings import settings
from service.storage import typed_study
from service.storage.clock import from_now
from service.storage.counters import CounterName, count
from service.storage.database import transaction
from service.storage.models import Study, Tenant
from service.trials import due_studies, study_lifecycle
from service.trials.leases import retry_while_database_is_away
from service.trials.one_by_one import do_each
from service.trials.wake_ups import wake_study_worker

log = structlog.get_logger(__name__)

LONGEST_REASON = 300
"""Characters of an error that its study shows."""

WENT_SILENT = "it was killed, most often because it ran out of memory, or its machine went away"


@dataclass(frozen=True)
class Turn:
    """The turn of a study in this process. `time_limit_seconds` is that of one proposal."""

    study_id: str
    holder: str
    time_limit_seconds: float


@retry_while_database_is_away
def begin(worker: str) -> Turn | None:
    """Take the turn of a study that is due, or None if none is.

    Of the tenant that was served the longest ago; of that, the study that has been due the longest.
    """
    for wait in (False, True):
        with transaction() as session:
            study = due_studies.next_due(session, wait=wait)
            if study is not None:
                return _begun(session, study, worker)
    return None


@contextmanager
def kept(turn: Turn) -> Iterator[None]:
    """Renew the lease of a turn for the length of a block."""
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(turn, ended), name="turn", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


@retry_while_database_is_away
def count_believing(turn: Turn) -> None:
    """Record that everything is proposed, and that models are about to be asked for the front."""
    with transaction() as session:
        study = due_studies.lock_turn(session, turn.study_id, holder=turn.holder)
        if study is not None:
            study.turn_attempts, study.turn_error = 0, None
            study.believing_attempts += 1


@retry_while_database_is_away
def count_weighing(turn: Turn) -> None:
    """Record that everything is proposed, and that the study's parameters are about to be weighed."""
    with transaction() as session:
        study = due_studies.lock_turn(session, turn.study_id, holder=turn.holder)
        if study is not None:
            study.turn_attempts, study.turn_error = 0, None
            study.weighing_attempts += 1


@retry_while_database_is_away
def finish(turn: Turn) -> None:
    """End a turn whose work is done; a change of the study meanwhile makes it due again."""
    with transaction() as session:
        study = due_studies.lock_turn(session, turn.study_id, holder=turn.holder)
        if study is not None:
            study.turn_attempts, study.turn_error = 0, None
            _leave(session, study)


@retry_while_database_is_away
def give_back(turn: Turn) -> None:
    """End a turn without counting it: the work could not be done, for a reason outside of the study."""
    with transaction() as session:
        study = due_studies.lock_turn(session, turn.study_id, holder=turn.holder)
        if study is not None:
            study.turn_attempts = max(0, study.turn_attempts - 1)
            study.turn_due_at = func.clock_timestamp()
            _leave(session, study)


@retry_while_database_is_away
def fail(turn: Turn, error: BaseException) -> None:
    """End a turn that has failed: try again later, or pause the study with the reason."""
    with transaction() as session:
        study = due_studies.lock_turn(session, turn.study_id, holder=turn.holder)
        if study is not None:
            _failed(session, study, reason=described(error))


@retry_while_database_is_away
def count_failed_extra() -> None:
    """Count a failure to model the front or to weigh parameters, on which proposals do not depend."""
    with transaction() as session:
        count(session, CounterName.TURN_FAILURES)


def take_back_silent() -> None:
    """End the turns of workers that have gone silent, each in its own transaction."""
    with transaction() as session:
        silent = due_studies.silent_turns(session)
    do_each(silent, _take_back)


def _take_back(session: Session, study_id: str) -> None:
    study = due_studies.lock_silent_turn(session, study_id)
    if study is not None:
        log.warning("study worker went silent", study_id=study.id, holder=study.turn_holder)
        _failed(session, study, reason=WENT_SILENT)


def described(error: BaseException) -> str:
    """Return an error in one line; of a database error only its type, because the message may hold values."""
    if isinstance(error, SQLAlchemyError):
        return type(error).__name__
    text = " ".join(str(error).split())[:LONGEST_REASON]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _begun(session: Session, study: Study, worker: str) -> Turn:
    turn = Turn(study.id, f"{worker}:{uuid4().hex}", typed_study.proposals(study).time_limit_seconds)
    study.turn_due_at = None
    study.turn_holder = turn.holder
    study.turn_expires_at = from_now(settings().lease_seconds)
    study.turn_attempts += 1
    session.flush()
    session.execute(
        update(Tenant).where(Tenant.id == study.tenant_id).values(served_at=func.clock_timestamp())
    )
    return turn


def _keep(turn: Turn, ended: threading.Event) -> None:
    renewed = (
        update(Study)
        .where(Study.id == turn.study_id, Study.turn_holder == turn.holder)
        .values(turn_expires_at=from_now(settings().lease_seconds))
        .execution_options(synchronize_session=False)
    )
    while not ended.wait(settings().lease_seconds / 3):
        try:
            with transaction() as session:
                session.execute(renewed)
        except OperationalError as error:
            log.warning("the database is away; renewing the turn soon", error=str(error.orig))


def _leave(session: Session, study: Study) -> None:
    study.turn_holder = study.turn_expires_at = None
    if study.turn_due_at is not None:
        # No wake-up was sent while this turn went on.
        study.turn_due_at = None
        wake_study_worker(session, study)


def _failed(session: Session, study: Study, *, reason: str) -> None:
    study.turn_holder = study.turn_expires_at = None
    study.turn_error = reason
    count(session, CounterName.TURN_FAILURES)
    if study.turn_attempts < settings().max_attempts:
        pause = settings().wake_up_seconds * 2 ** max(0, study.turn_attempts - 1)
        study.turn_due_at = from_now(pause)
        return
    study.turn_due_at = None
    if study.state is StudyState.ACTIVE:
        times = study.turn_attempts
        study_lifecycle.park(
            session,
            study,
            reason=f"the study worker failed {times} times in a row while it proposed for this study, the "
            f"last time because {reason}. Resume the study to try again; if that does not help, clone it "
            "with another proposer or a smaller search space, and report what the worker's log says.",
        )
