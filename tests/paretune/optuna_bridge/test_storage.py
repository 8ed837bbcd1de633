"""What is opened, and what is said of what cannot be."""

from pathlib import Path

import optuna
import pytest

from paretune.errors import BridgeError
from paretune.optuna_bridge.storage import open_storage, read_study


@pytest.mark.parametrize("form", ["sqlite:///{}", "{}"])
def test_reading_makes_no_file(tmp_path: Path, form: str) -> None:
    """A typing error in a path leaves nothing behind."""
    file = tmp_path / "none.db"
    with pytest.raises(BridgeError, match="There is no file"):
        open_storage(form.format(file), must_exist=True)
    assert not file.exists()


def test_a_file_of_something_else_is_said(tmp_path: Path) -> None:
    """One line, with what a storage may be."""
    file = tmp_path / "notes.db"
    file.write_text("this is no database, and it is longer than the header of one\n" * 20)
    with pytest.raises(BridgeError, match="cannot be opened") as refused:
        open_storage(f"sqlite:///{file}", must_exist=True)
    assert "Name a database by its URL" in str(refused.value)
    with pytest.raises(BridgeError, match="cannot be opened"):
        open_storage(str(file), must_exist=True)


@pytest.mark.parametrize("url", ["postgresql+psycopg://me:secret@127.0.0.1:1/none", "nonsense://me:secret@x"])
def test_a_password_is_not_shown(url: str) -> None:
    """Errors are pasted into messages to others."""
    with pytest.raises(BridgeError) as refused:
        open_storage(url, must_exist=True)
    assert "secret" not in str(refused.value)


def test_the_studies_that_are_there_are_named(tmp_path: Path) -> None:
    """The nearest cause is a wrong name."""
    storage = open_storage(str(tmp_path / "journal.log"), must_exist=False)
    with pytest.raises(BridgeError, match="It has none at all"):
        read_study(storage, "mine")
    for number in range(7):
        optuna.create_study(study_name=f"study {number}", storage=storage)
    with pytest.raises(BridgeError, match=r"has no study 'mine'. It has 'study 0', .* and 2 more"):
        read_study(open_storage(str(tmp_path / "journal.log"), must_exist=True), "mine")
