"""A start without room says so in a sentence, however that shows, and nothing stops the next one."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paretune.child_process import LOG_TAIL_LINES, LONGEST_LOG_LINE, Child, ChildDied
from paretune.embedded_postgres import free_port
from paretune.room import NoRoom, room_for_a_start
from paretune.state_directory import kept_secret


def test_a_disk_that_is_full_at_the_first_start_is_one_sentence(state_root: Path) -> None:
    """As a person sees it: no traceback, and no list of the files that were not copied."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL", "PARETUNE_URL")
    }
    done = subprocess.run(
        [sys.executable, "-m", "paretune.cli", "up", "--state-dir", str(state_root / "state"),
         "--port", str(free_port())],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    *steps, sentence = done.stderr.splitlines()
    assert steps == ["Starting the database and the queue"]
    assert sentence.startswith("NoRoom: There is no room in")
    assert "--state-dir" in sentence


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")] * 5000),
        ChildDied("initdb failed:\nFATAL: could not extend file: No space left on device"),
        ChildDied("initdb failed:\n\nFile size limit exceeded"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_want_of_room_is_known_by_all_its_signs(error: Exception, tmp_path: Path) -> None:
    """Of ours, of a copied folder, of a child that ended."""
    with pytest.raises(NoRoom) as told, room_for_a_start(tmp_path):
        raise error
    assert len(str(told.value)) < 400


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    """A port that is taken is no want of room."""
    for error in (OSError(errno.EACCES, "Permission denied"), ChildDied("valkey ended before it was ready")):
        with pytest.raises(type(error)), room_for_a_start(tmp_path):
            raise error


def test_a_secret_that_a_full_disk_left_empty_is_made_anew(tmp_path: Path) -> None:
    """Else the server would take an empty key."""
    (tmp_path / "key").touch()
    made = kept_secret(tmp_path / "key", prefix="ptk_")
    assert len(made) > 40
    assert kept_secret(tmp_path / "key", prefix="ptk_") == made
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_the_end_of_a_log_is_short_whatever_its_lines_hold(tmp_path: Path) -> None:
    """One line of JSON may be a traceback of 30 kB."""
    child = Child(name="c", command=["true"], log=tmp_path / "log")
    child.log.write_text("x" * 100_000 + "\n" + ("y" * 50_000 + "\n") * 30)
    assert len(child.log_tail()) <= LOG_TAIL_LINES * (LONGEST_LOG_LINE + 3)
