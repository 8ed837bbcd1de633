"""Which version used a state directory last."""

import json
from pathlib import Path

import pytest

from paretune.state_directory import VERSION_FILE, StateDirectoryNewer, check_not_newer, record_version


def test_a_directory_of_a_newer_version_is_refused_with_the_way_back(tmp_path: Path) -> None:
    """It names that version, and nothing is started on it."""
    (tmp_path / VERSION_FILE).write_text(json.dumps({"paretune": "9.1.0", "schema": "9999"}))
    with pytest.raises(StateDirectoryNewer, match=r"Paretune 9\.1\.0.*that version.*--state-dir"):
        check_not_newer(tmp_path)


def test_one_of_this_version_or_without_a_note_is_not(tmp_path: Path) -> None:
    """Nor is one whose note was cut off."""
    check_not_newer(tmp_path)
    record_version(tmp_path)
    check_not_newer(tmp_path)
    (tmp_path / VERSION_FILE).write_text("")
    check_not_newer(tmp_path)
