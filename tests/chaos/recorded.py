"""Read what a run has left in the database and on disk, and hold it against every invariant."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.storage.models import (
    Artifact,
    AuditEvent,
    Event,
    IdempotencyKey,
    Replicate,
    StoredFront,
    Study,
    Trial,
    TrialMeasurement,
)
from tests.chaos.front_history import fronts_are_told, fronts_equal_recomputed_ones
from tests.chaos.history import INVARIANTS, History, Posting, one_effect_per_key

ALL = (*INVARIANTS, fronts_equal_recomputed_ones, fronts_are_told)
Violations = dict[str, list[str]]


def read_histories(engine: Engine, study_ids: Sequence[str] | None = None) -> list[History]:
    """Read the rows of studies, all unless named, as of one moment."""
    with Session(engine, expire_on_commit=False) as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        studies = session.scalars(select(Study).order_by(Study.id)).all()
        return [_history(session, study) for study in studies if study_ids is None or study.id in study_ids]


def _history(session: Session, study: Study) -> History:
    def rows(table: Any, *order: Any) -> Any:
        return session.scalars(select(table).where(table.study_id == study.id).order_by(*order)).all()

    trials = rows(Trial, Trial.number)
    of_trials = TrialMeasurement.trial_id.in_([trial.id for trial in trials])
    return History(
        study=study,
        events=rows(Event, Event.sequence),
        trials=trials,
        replicates=rows(Replicate, Replicate.trial_id, Replicate.number),
        measurements=session.scalars(select(TrialMeasurement).where(of_trials)).all(),
        fronts=rows(StoredFront, StoredFront.sequence),
    )


def violations(histories: Sequence[History]) -> Violations:
    """Check every invariant of every study; give the sentences by invariant, none for those that hold."""
    found: Violations = defaultdict(list)
    for history in histories:
        for invariant in ALL:
            found[invariant.__name__] += [f"{history.study.id}: {what}" for what in invariant(history)]
    return {name: what for name, what in found.items() if what}


def wrong_effects(
    engine: Engine, postings: Sequence[Posting], *, histories: Sequence[History]
) -> Iterator[str]:
    """Check keys against effects; the audit log remembers studies that were deleted, too."""
    with Session(engine) as session:
        kept = {row.key: row.body for row in session.scalars(select(IdempotencyKey))}
        created = list(session.scalars(select(AuditEvent.subject).where(AuditEvent.type == "study.created")))
    extended = Counter(
        {
            history.study.id: sum(event.type == "study.extended" for event in history.events)
            for history in histories
        }
    )
    return one_effect_per_key(postings, kept=kept, created=created, extended=extended)


def broken_artifacts(engine: Engine, artifacts_dir: Path) -> Iterator[str]:
    """Every file that a trial names is there, whole."""
    with Session(engine) as session:
        artifacts = session.scalars(select(Artifact)).all()
    for artifact in artifacts:
        file = artifacts_dir / artifact.path
        if not file.is_file():
            yield f"{artifact.path} is gone"
        elif hashlib.sha256(file.read_bytes()).hexdigest() != artifact.sha256:
            yield f"{artifact.path} is damaged"
