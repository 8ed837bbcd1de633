"""What a dead upload leaves is swept, what a living one writes is not."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.catalogue import kept_uploads
from service.settings import settings
from service.trials import sweeper

LONG_AGO = time.time() - 10 * kept_uploads.UNFINISHED_SECONDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "uploads" / "tnt_1"
    made.mkdir(parents=True)
    return made


def left(folder: Path, name: str, *, at: float = LONG_AGO) -> Path:
    file = folder / name
    file.write_text("text,label\n")
    os.utime(file, (at, at))
    return file


def test_what_a_dead_upload_left_is_deleted(folder: Path, tmp_path: Path) -> None:
    """Once it is old, or from the future; whole files and links stay."""
    dead = left(folder, ".unfinished-1")
    ahead = left(folder, ".unfinished-2", at=time.time() + 600)
    young = left(folder, ".unfinished-3", at=time.time())
    whole = left(folder, "a.csv")
    (folder / ".unfinished-4").symlink_to(whole)
    assert kept_uploads.sweep_unfinished(tmp_path) == 2
    assert not dead.exists()
    assert not ahead.exists()
    assert young.exists()
    assert whole.exists()
    assert kept_uploads.names(folder) == ["a.csv"]


def test_a_slow_upload_is_left_alone(folder: Path, tmp_path: Path) -> None:
    """Its process holds a lock, however long ago it wrote; then nothing is left."""
    with kept_uploads.unfinished_file(folder) as (_, place):
        os.utime(place, (LONG_AGO, LONG_AGO))
        assert kept_uploads.sweep_unfinished(tmp_path) == 0
        assert place.exists()
    assert list(folder.iterdir()) == []


def test_a_killed_process_holds_no_lock(folder: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of an upload."""
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom service.catalogue import kept_uploads\n"
        "with kept_uploads.unfinished_file(Path(sys.argv[1])) as (file, _):\n"
        "    file.write(b'half')\n    file.flush()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    (unfinished,) = folder.iterdir()
    assert kept_uploads.sweep_unfinished(tmp_path) == 0
    os.utime(unfinished, (LONG_AGO, LONG_AGO))
    assert kept_uploads.sweep_unfinished(tmp_path) == 1


def test_several_processes_may_sweep_at_once(folder: Path, tmp_path: Path) -> None:
    """Nobody stumbles over what another has just deleted."""
    for number in range(200):
        left(folder, f".unfinished-{number}")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(kept_uploads.sweep_unfinished, [tmp_path] * 4))
    assert list(folder.iterdir()) == []


def test_the_sweeper_sweeps_files_too(service_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start of the API, and every minute."""
    data_dir = settings().data_dir
    assert data_dir is not None
    folder = data_dir / "uploads" / "tnt_1"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sweeper, "_files_swept_at", -1e9)
    left(folder, ".unfinished-1")
    sweeper.sweep()
    assert list(folder.iterdir()) == []
    left(folder, ".unfinished-2")
    sweeper.sweep()
    assert len(list(folder.iterdir())) == 1
