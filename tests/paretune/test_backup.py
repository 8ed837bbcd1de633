"""A backup of a server while a study runs, and what a restore brings back."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api_schemas.trials import TrialState
from paretune.backup import DUMP, FORMAT, MANIFEST, NoBackup
from paretune.cli import app
from paretune.client import Client
from paretune.errors import FileExists, NotConfirmed, ParetuneError
from paretune.postgres_tools import ToolFailed
from service.settings import settings
from service.storage.schema_version import expected_revision
from service.trials import leases
from tests.service.trials.test_leases import REPORT, stored_study


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def made(tmp_path: Path, *, schema: str | None = None, dump: bytes = b"no dump") -> Path:
    """A file that says that it is a backup."""
    file = tmp_path / "made.tar"
    manifest = {
        "format": FORMAT,
        "paretune": "9.1.0",
        "schema": schema or expected_revision(),
        "made_at": "then",
    }
    with tarfile.open(file, "w") as archive:
        for name, content in ((MANIFEST, json.dumps(manifest).encode()), (DUMP, dump)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


def test_a_study_that_ran_goes_on_after_a_restore(client: Client, tmp_path: Path) -> None:
    """Rows, trained files and uploads are back; the worker that held a trial ends it with its own lease."""
    study_id = stored_study(trials=2, parallelism=2)
    claimed = leases.claim("w")
    assert claimed is not None
    trained = Path(settings().artifacts_url) / study_id / "weights.safetensors"
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"weights")
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\na,b\nc,d\n")
    client.upload_task_file(rows)
    file = tmp_path / "backup.tar"
    done = run("backup", file)
    assert done.exit_code == 0, done.output
    assert "1 files of artifacts, 1 files of uploads" in done.output
    assert file.stat().st_mode & 0o777 == 0o600

    client.cancel(study_id)
    client.delete_task_file("rows.csv")
    trained.unlink()
    assert run("restore", file, "--yes").exit_code == 0
    assert trained.read_bytes() == b"weights"
    assert [one.name for one in client.task_files()] == ["rows.csv"]
    assert client.get_study(study_id).trials.running == 1
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    assert client.get_trial(study_id, claimed.trial_id).state is TrialState.SUCCEEDED


def test_a_restore_asks_and_a_backup_writes_over_nothing(client: Client, tmp_path: Path) -> None:
    """What is there may be all that there is."""
    study_id = stored_study(trials=1)
    file = tmp_path / "backup.tar"
    assert run("backup", file).exit_code == 0
    assert isinstance(run("backup", file).exception, FileExists)
    assert isinstance(run("restore", file).exception, NotConfirmed)
    assert client.get_study(study_id).id == study_id


def test_a_restore_that_fails_changes_nothing(client: Client, tmp_path: Path) -> None:
    """The old tables come back."""
    study_id = stored_study(trials=1)
    assert isinstance(run("restore", made(tmp_path), "--yes").exception, ToolFailed)
    assert client.get_study(study_id).id == study_id


@pytest.mark.parametrize("schema", ["9999", None])
def test_what_cannot_be_restored_is_said_before_anything_happens(tmp_path: Path, schema: str | None) -> None:
    """A backup of a newer version names that; another file is none at all."""
    file = made(tmp_path, schema=schema)
    if schema is None:
        file.write_text("text")
    done = run("restore", file, "--yes", "--state-dir", tmp_path / "state")
    assert isinstance(done.exception, NoBackup)
    assert ("9.1.0" in str(done.exception)) is (schema is not None)


@pytest.mark.slow
def test_a_backup_moves_to_a_new_directory(
    client: Client, tmp_path: Path, state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory without a server gets a database, and can be backed up where none runs."""
    stored_study(trials=1)
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    assert run("backup", first).exit_code == 0
    for name in ("DATABASE_URL", "PARETUNE_ARTIFACTS_URL", "PARETUNE_DATA_DIR"):
        monkeypatch.delenv(name)
    directory = state_root / "state"
    assert isinstance(run("backup", second, "--state-dir", directory).exception, ParetuneError)
    restored = run("restore", first, "--state-dir", directory)
    assert restored.exit_code == 0, restored.output
    assert run("backup", second, "--state-dir", directory).exit_code == 0
    with tarfile.open(first) as one, tarfile.open(second) as other:
        sizes = [archive.getmember(DUMP).size for archive in (one, other)]
    assert sizes[1] > sizes[0] / 2
