"""Take a trial home on behalf of a language model: nothing that lies there already is ever overwritten."""

import shutil
from pathlib import Path

from api_schemas.studies import StudyRead
from api_schemas.trials import TrialRead
from paretune.client import Client
from paretune.errors import ParetuneError
from paretune.export import FolderNotEmpty, export_trial
from paretune.mcp_server.answers import ExportedTrial


class NoSuchTrial(ParetuneError):
    """The study has no trial of this number."""


class FolderNotWritable(ParetuneError):
    """The folder cannot be made."""


def export(url: str, key: str, study_id: str, *, number: int, folder: str | None) -> ExportedTrial:
    """Return what a trial is, and write its files if a folder is named.

    Raises:
        NoSuchTrial: If the study has no trial of this number.
        FolderNotEmpty: If something lies in the folder.
        FolderNotWritable: If it cannot be made.
        NothingToExport: If the trial left no weights.
    """
    with Client(url, api_key=key) as client:
        study = client.get_study(study_id)
        trial = next((item for item in client.trials(study_id) if item.number == number), None)
        if trial is None:
            raise NoSuchTrial(f"The study has no trial {number}. `list_trials` shows those it has.")
        written = None if folder is None else _write(client, study, trial, Path(folder))
    return ExportedTrial(
        study_id=study_id,
        number=number,
        parameters=trial.parameters,
        configuration=None if trial.configuration is None else trial.configuration.model_dump(mode="json"),
        folder=None if written is None else str(written),
        files=() if written is None else tuple(sorted(file.name for file in written.iterdir())),
    )


def _write(client: Client, study: StudyRead, trial: TrialRead, folder: Path) -> Path:
    try:
        target = folder.expanduser().absolute()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FolderNotEmpty(f"{target} is not empty. Name a new folder.")
        try:
            return export_trial(client, study, trial, folder=target)
        except (OSError, ParetuneError):
            # Else the next try would fail because the folder is not empty.
            shutil.rmtree(target, ignore_errors=True)
            raise
    except (OSError, RuntimeError) as error:
        raise FolderNotWritable(f"{folder} cannot be written: {error}. Name another folder.") from error
