"""The file of rows that a study file names: brought to the server where it lies beside the study file."""

import os
from pathlib import Path

from api_schemas.studies import StudyCreate
from api_schemas.tasks import FILE_PREFIX
from paretune.client import Client
from paretune.console import note


def with_task_file(client: Client, study: StudyCreate, *, study_file: Path) -> StudyCreate:
    """Send the rows that a study names to the server, if they lie beside its file; return what to post.

    `file:rows.csv` then means those, and `file:data/rows.csv` those of a folder below. A file that the own
    folder of a server has, or that lies elsewhere, is left to that server.
    """
    base = study.configuration
    if base is None or not base.task.is_file:
        return study
    name = base.task.name.removeprefix(FILE_PREFIX)
    here = study_file.parent / name
    if Path(name).is_absolute() or not here.is_file() or _is_shared(here, name):
        return study
    kept = client.upload_task_file(here)
    note(f"Sent {here}: {kept.rows:,} rows.")
    task = base.task.model_copy(update={"name": f"{FILE_PREFIX}{kept.name}"})
    return study.model_copy(update={"configuration": base.model_copy(update={"task": task})})


def _is_shared(here: Path, name: str) -> bool:
    """Return whether a server that is started here finds the file in its own folder."""
    folder = os.environ.get("PARETUNE_DATA_DIR")
    shared = Path(folder) / name if folder else None
    return shared is not None and shared.is_file() and shared.samefile(here)
