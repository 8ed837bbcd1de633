"""Take a study away for good: its rows in one transaction, then its files.

Trials of other studies may have reused its results: files that their rows name stay, and go with the last
of them.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy import Table, delete, or_, select
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType
from api_schemas.studies import TERMINAL_STUDY_STATES, StudyState
from service.artifacts.artifact_store import ArtifactStoreAway, artifact_store
from service.errors import WrongState
from service.storage.audit_log import record_audit_event
from service.storage.base_table import Base
from service.storage.models import Artifact, Study, Trial

log = structlog.get_logger(__name__)

STUDIES = Base.metadata.tables[Study.__tablename__]
TRIALS = Base.metadata.tables[Trial.__tablename__]


@dataclass(frozen=True)
class Files:
    """What a deleted study leaves in the artifact store, as paths."""

    folder: str
    named: frozenset[str]
    """What its trials named; of a reused result, this lies in the folder of another study."""
    still_named: frozenset[str]
    """What trials of other studies name, too."""


def delete_rows(session: Session, study: Study) -> Files:
    """Delete a locked study with everything that hangs on it; return the files to delete after the commit.

    Raises:
        WrongState: If it has not ended: a worker may still write.
    """
    if study.state not in TERMINAL_STUDY_STATES:
        first = "" if study.state is StudyState.CANCELLING else "cancel it, and "
        raise WrongState(f"The study is {study.state}; {first}delete it once it is CANCELLED.")
    trial_ids = select(Trial.id).where(Trial.study_id == study.id)
    named = frozenset(session.scalars(select(Artifact.path).where(Artifact.trial_id.in_(trial_ids))))
    for table in reversed(Base.metadata.sorted_tables):
        _delete_rows_of(session, table, study_id=study.id)
    # After the trials are gone: a study that was about to reuse one has committed by now, or finds none.
    elsewhere = or_(Artifact.path.in_(named), Artifact.path.startswith(f"{study.id}/", autoescape=True))
    still_named = frozenset(session.scalars(select(Artifact.path).where(elsewhere)))
    record_audit_event(session, study.tenant_id, AuditEventType.STUDY_DELETED, subject=study.id)
    return Files(folder=study.id, named=named, still_named=still_named)


def delete_files(files: Files) -> None:
    """Delete what no row names any more; what cannot be deleted is logged."""
    try:
        store = artifact_store()
        stored = frozenset(store.files(files.folder))
        left = store.delete((stored | files.named) - files.still_named)
        store.remove_empty_folders(files.folder)
    except ArtifactStoreAway as error:
        left = dict.fromkeys([files.folder, *files.named], error.detail)
    for path, reason in left.items():
        log.warning("a file of a deleted study is left behind", file=path, reason=reason)


def _delete_rows_of(session: Session, table: Table, *, study_id: str) -> None:
    if table is STUDIES:
        session.execute(delete(table).where(STUDIES.c.id == study_id))
        return
    of_study = [column for column in table.columns if column.references(STUDIES.c.id)]
    of_trial = [column for column in table.columns if column.references(TRIALS.c.id)]
    # A table that has both is read by its study: with an OR of the two it would be read whole.
    if of_study:
        session.execute(delete(table).where(of_study[0] == study_id))
    elif of_trial:
        trial_ids = select(Trial.id).where(Trial.study_id == study_id)
        session.execute(delete(table).where(of_trial[0].in_(trial_ids)))
