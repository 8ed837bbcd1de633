"""What cannot be written ends in a sentence, and costs nothing that was found."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from paretune import cli
from paretune.cli import app
from paretune.client import Client
from paretune.file_errors import FileUnusable, as_sentence
from tests.paretune.test_cli import with_imported_result

ROWS = "text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(60))


def said_by(
    *arguments: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """Run the command as the console does; give its exit code and what it said on stderr."""
    monkeypatch.setattr(sys, "argv", ["paretune", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr().err


def test_a_study_file_that_is_a_folder_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, with the path and what to do."""
    rows, folder = tmp_path / "rows.csv", tmp_path / "folder"
    rows.write_text(ROWS)
    folder.mkdir()
    arguments = ("init", rows, "--yes", "--force", "--output", folder)
    code, said = said_by(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 1
    assert said == f"FileUnusable: Cannot use {folder}: Is a directory. It is a folder: name a file.\n"


def test_a_report_into_a_missing_folder_is_said_in_a_sentence(
    served: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is named."""
    target = tmp_path / "missing" / "r.html"
    arguments = ("report", with_imported_result(served), "--output", target)
    code, said = said_by(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 1
    assert str(target) in said
    assert "make the folder" in said


def test_a_backup_into_a_missing_folder_begins_nothing(served: Client, tmp_path: Path) -> None:
    """Nothing is dumped for it."""
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "missing" / "backup.tar")])
    assert isinstance(done.exception, FileUnusable)
    assert f"{tmp_path / 'missing'}:" in str(done.exception)
    assert list(tmp_path.glob("**/*.unfinished")) == []


@pytest.mark.parametrize("command", ["run", "resume"])
def test_a_run_whose_results_have_no_place_does_not_start(
    served: Client, tmp_path: Path, command: str
) -> None:
    """The study is not even registered."""
    study_id = with_imported_result(served)
    rows, output = tmp_path / "rows.csv", tmp_path / "file"
    rows.write_text(ROWS)
    output.touch()
    assert CliRunner().invoke(app, ["init", str(rows), "--yes"]).exit_code == 0
    named = str(tmp_path / "study.yaml") if command == "run" else study_id
    done = CliRunner().invoke(app, [command, named, "--output", str(output / "results")])
    assert isinstance(done.exception, FileUnusable)
    assert len(list(served.studies())) == 1


def test_a_full_disk_at_the_end_of_a_run_names_what_writes_its_results_again(
    served: Client, tmp_path: Path
) -> None:
    """The study is kept; after the disk has room, that command writes all of them."""
    study_id = with_imported_result(served)
    served.cancel(study_id)
    again = ["resume", study_id, "--output", str(tmp_path)]
    assert CliRunner().invoke(app, again).exit_code == 0
    (written,) = tmp_path.glob("*/pareto_front.json")
    written.unlink()
    written.symlink_to("/dev/full")
    done = CliRunner().invoke(app, again)
    assert isinstance(done.exception, FileUnusable)
    assert "No space left on device" in str(done.exception)
    assert "paretune " + " ".join(again) in str(done.exception)
    written.unlink()
    assert CliRunner().invoke(app, again).exit_code == 0
    assert written.is_file()


def test_an_error_that_is_about_no_file_keeps_its_traceback() -> None:
    """A connection that breaks off is no path to check."""
    assert as_sentence(ConnectionResetError(104, "Connection reset by peer")) is None
    assert as_sentence(OSError("a bug")) is None
