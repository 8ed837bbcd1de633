"""Take a study away for good: its rows in one transaction, then its files."""

import shutil
from pathlib import Path

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api_schemas.studies import StudyState
from service.errors import WrongState
from service.models import Artifact, Event, Replicate, StoredFront, Study, Trial, TrialMeasurement

log = structlog.get_logger(__name__)

ENDED = (StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED)


def delete_rows(session: Session, study: Study) -> None:
    """Delete a locked study with everything that hangs on it.

    Raises:
        WrongState: If it has not ended: a worker may still write.
    """
    if study.state not in ENDED:
        raise WrongState(f"The study is {study.state}; cancel it, and delete it once it is CANCELLED.")
    trial_ids = select(Trial.id).where(Trial.study_id == study.id)
    for of_trial in (TrialMeasurement, Artifact):
        session.execute(delete(of_trial).where(of_trial.trial_id.in_(trial_ids)))
    for of_study in (StoredFront, Event, Replicate, Trial):
        session.execute(delete(of_study).where(of_study.study_id == study.id))
    session.execute(delete(Study).where(Study.id == study.id))


def delete_files(study_id: str, *, artifacts_dir: Path) -> None:
    """Delete the folder of a study that has no rows any more; what cannot be deleted is logged."""
    folder = artifacts_dir / study_id
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("files of a deleted study are left behind", folder=str(folder))
