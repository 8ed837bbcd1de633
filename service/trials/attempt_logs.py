"""The last lines of the logs of a trial's attempts. No state depends on them, so none of this takes a lock.

Each attempt has a row of its own, so no late one can write over another's. Its lines are taken while it is
the last attempt of its replicate and the replicate is not over, as its other words are.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

from sqlalchemy import delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api_schemas.log_tail import LastLines, LogTail, last_lines
from api_schemas.trial_logs import MOST_ATTEMPTS
from api_schemas.trials import TrialState
from service.errors import NotFound, StaleAttempt
from service.storage import queries
from service.storage.models import AttemptLog, Replicate, Study
from service.trials import replication

LARGEST_COUNT = 2**31 - 1
STILL_HEARD = (TrialState.RUNNING, TrialState.QUEUED)


def store_log(
    session: Session,
    study: Study,
    trial_id: str,
    *,
    attempt: int,
    said: LastLines,
    states: Collection[TrialState] = STILL_HEARD,
) -> None:
    """Store the last lines of an attempt in place of what it had, cut to what is kept and without secrets.

    Logs of the trial's attempts long before it are deleted.

    Raises:
        StaleAttempt: If another attempt has begun, or the replicate is in none of the states.
        NotFound: If the study has no such trial.
    """
    kept = last_lines(said.text)
    its_replicate = (Replicate.trial_id == trial_id) & (Replicate.attempt == attempt)
    row = select(
        Replicate.trial_id,
        Replicate.attempt,
        Replicate.number,
        literal(kept.text),
        literal(min(said.omitted_lines + kept.omitted_lines, LARGEST_COUNT)),
        func.clock_timestamp(),
    ).where(its_replicate, Replicate.study_id == study.id, Replicate.state.in_(states))
    adding = insert(AttemptLog).from_select(AttemptLog.__table__.columns.keys(), row)
    changed = {name: adding.excluded[name] for name in ("lines", "omitted_lines", "recorded_at")}
    storing = adding.on_conflict_do_update(index_elements=["trial_id", "attempt"], set_=changed)
    try:
        stored = session.execute(storing.returning(AttemptLog.attempt)).first()
    except IntegrityError as error:
        raise StaleAttempt(f"Trial '{trial_id}' is gone. Stop.") from error
    if stored is None:
        trial = queries.get_trial(session, study.id, trial_id)
        raise replication.stale(trial_id, attempt, replication.of_attempt(trial, attempt))
    if attempt <= MOST_ATTEMPTS:
        return
    long_before = AttemptLog.attempt <= attempt - MOST_ATTEMPTS
    session.execute(delete(AttemptLog).where(AttemptLog.trial_id == trial_id, long_before))


def add_line(session: Session, *, worker: str, line: str) -> int:
    """Add a line to the log of every attempt that a worker runs; return to how many.

    Not to one that it has lost: it was at work on others since.
    """
    query = (
        select(Replicate, Study, AttemptLog)
        .join(Study, Study.id == Replicate.study_id)
        .outerjoin(
            AttemptLog,
            (AttemptLog.trial_id == Replicate.trial_id) & (AttemptLog.attempt == Replicate.attempt),
        )
        .where(Replicate.state == TrialState.RUNNING, Replicate.worker == worker)
    )
    told = 0
    for replicate, study, known in session.execute(query).all():
        # One that ends or vanishes meanwhile keeps the line from no other.
        with suppress(StaleAttempt, NotFound), session.begin_nested():
            store_log(
                session,
                study,
                replicate.trial_id,
                attempt=replicate.attempt,
                said=_with_line(known, line),
                states=[TrialState.RUNNING],
            )
            told += 1
    return told


def logs_of(session: Session, trial_id: str) -> Sequence[AttemptLog]:
    """Read the logs of a trial's attempts, in order."""
    query = select(AttemptLog).where(AttemptLog.trial_id == trial_id).order_by(AttemptLog.attempt)
    return session.scalars(query).all()


def _with_line(known: AttemptLog | None, line: str) -> LastLines:
    tail = LogTail()
    if known is not None:
        tail.add(known.lines)
    tail.add(line)
    said = tail.read()
    return LastLines(said.text, said.omitted_lines + (0 if known is None else known.omitted_lines))
