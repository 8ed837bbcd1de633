"""The file of rows that a study file names: brought to the server where it lies beside the study file."""

import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from api_schemas.studies import StudyCreate
from api_schemas.study_validation import StudyValidation
from api_schemas.tasks import FILE_PREFIX
from paretune.client import Client
from paretune.console import note
from paretune.errors import RequestRefused

Answer = TypeVar("Answer", bound=BaseModel)


def with_task_file(client: Client, study: StudyCreate, *, study_file: Path) -> StudyCreate:
    """Send the rows that a study names to the server, if they lie beside its file; return what to post.

    `file:rows.csv` then means those, and `file:data/rows.csv` those of a folder below. A file that the own
    folder of a server has, or that lies elsewhere, is left to that server.
    """
    here = _rows_beside(study, study_file)
    if here is None:
        return study
    kept = client.upload_task_file(here)
    note(f"Sent {here}: {kept.rows:,} rows.")
    return _on_upload(study, kept.name)


def checked_study(client: Client, study: StudyCreate, *, study_file: Path) -> StudyValidation:
    """Return what a study comes to on the rows that lie beside its file; the server keeps none of them.

    They are there under a passing name, so that what it has under their own stays as it is.
    """
    here = _rows_beside(study, study_file)
    if here is None:
        return client.validate_study(study)
    passing = f"{here.stem}.{secrets.token_hex(8)}{here.suffix}"
    try:
        kept = client.upload_task_file(here, name=passing)
        note(f"Checking {here}: {kept.rows:,} rows.")
        return _renamed(client.validate_study(_on_upload(study, passing)), passing, here.name)
    except RequestRefused as refused:
        raise RequestRefused(_renamed(refused.problem, passing, here.name)) from refused
    finally:
        # An upload that was refused has left nothing to delete.
        with suppress(RequestRefused):
            client.delete_task_file(passing)


def _rows_beside(study: StudyCreate, study_file: Path) -> Path | None:
    base = study.configuration
    if base is None or not base.task.is_file:
        return None
    name = base.task.name.removeprefix(FILE_PREFIX)
    here = study_file.parent / name
    return None if Path(name).is_absolute() or not here.is_file() or _is_shared(here, name) else here


def _on_upload(study: StudyCreate, name: str) -> StudyCreate:
    base = study.configuration
    assert base is not None  # noqa: S101  or there would be no rows
    task = base.task.model_copy(update={"name": f"{FILE_PREFIX}{name}"})
    return study.model_copy(update={"configuration": base.model_copy(update={"task": task})})


def _renamed(answer: Answer, passing: str, name: str) -> Answer:
    """Return an answer with a file's own name where its passing one stands, with a tenant's folder or not."""
    passed = re.compile(rf"(?:uploads/[\w-]+/)?{re.escape(passing)}")
    own = json.dumps(name, ensure_ascii=False)[1:-1]
    return answer.model_validate_json(passed.sub(lambda _: own, answer.model_dump_json(by_alias=True)))


def _is_shared(here: Path, name: str) -> bool:
    """Return whether a server that is started here finds the file in its own folder."""
    folder = os.environ.get("PARETUNE_DATA_DIR")
    shared = Path(folder) / name if folder else None
    return shared is not None and shared.is_file() and shared.samefile(here)
