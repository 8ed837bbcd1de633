"""`paretune init`, by its command; that what it writes runs is shown in `end_to_end/test_main_job.py`."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from paretune import first_study
from paretune.cli import app
from paretune.errors import FileExists, ParetuneError
from paretune.study_file import read_study_file

ROWS = [f"{n},text number {n} of them,{'yes' if n % 2 else 'no'},{n % 3}" for n in range(40)]


def init(file: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["init", str(file), *options])


def refusal(file: Path, *options: str) -> str:
    done = init(file, *options)
    assert isinstance(done.exception, ParetuneError), done.output
    return str(done.exception)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["id,review,verdict,shop", *ROWS]))
    return file


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"text,label\na,b\nc,d,e\n", "Line 3"),
        (b'text,label\na,b\n"c,d\n', "line 3"),
        (b"text,label\na,b\ncaf\xe9,d\n", "in line 3"),
        (b"text,label\n", "no rows"),
        (b"", "no rows"),
    ],
)
def test_what_cannot_be_read_names_the_line(tmp_path: Path, content: bytes, line: str) -> None:
    """In the words of the server, which would refuse the upload for the same; nothing is written."""
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    assert line in refusal(file)
    assert not (tmp_path / "study.yaml").exists()


def test_a_file_that_cannot_be_sent_is_refused_at_once(tmp_path: Path) -> None:
    """One that is not there, one with a name that no server takes, and one that lies above the study."""
    assert "There is no file" in refusal(tmp_path / "none.csv")
    odd = tmp_path / "my rows.csv"
    odd.write_text("text,label\na,b\n")
    assert "Rename 'my rows.csv'" in refusal(odd)
    (tmp_path / "below").mkdir()
    odd = odd.rename(tmp_path / "rows.csv")
    assert "beside" in refusal(odd, "--output", str(tmp_path / "below" / "study.yaml"))


def test_a_column_that_is_not_there_or_not_clear_is_said(rows: Path, tmp_path: Path) -> None:
    """With the columns that there are, and the option that names one."""
    assert "no column 'mood'" in refusal(rows, "--label", "mood")
    file = tmp_path / "vague.csv"
    file.write_text("a,b,c\n" + "\n".join(f"words {n},{n},{n * 7}" for n in range(30)))
    assert "Say --label with one of: b, c" in refusal(file, "--yes")


def test_a_first_line_that_is_a_row_is_noticed(tmp_path: Path) -> None:
    """Its text would become the name of a column."""
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(f"text number {n} of them,{n % 2}" for n in range(40)))
    assert "seems to be a row" in refusal(file)


def test_what_is_not_clear_is_asked_where_somebody_is_there(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the answer is a column; the guess is one key away."""
    monkeypatch.setattr(first_study, "somebody_is_there", lambda: True)
    done = CliRunner().invoke(app, ["init", str(rows), "--text", "review"], input="mood\nverdict\n")
    assert done.exit_code == 0, done.output
    assert "There is no 'mood'" in done.output
    study = read_study_file(tmp_path / "study.yaml")
    assert study.configuration is not None
    assert study.configuration.task.label_column == "verdict"
    away = CliRunner().invoke(app, ["init", str(rows), "--text", "review", "--force"], input="")
    assert "Say --label" in str(away.exception)


def test_a_study_is_written_beside_the_rows(rows: Path, tmp_path: Path) -> None:
    """What was found is said, what is guessed too; another study is not written over unasked."""
    done = init(rows, "--label", "verdict")
    assert done.exit_code == 0, done.output
    assert "cells separated by a comma, 4 columns" in done.output
    assert "label: verdict (classification, 2 labels: no, yes)" in done.output
    study = read_study_file(tmp_path / "study.yaml")
    assert study.configuration is not None
    task = study.configuration.task
    assert (task.name, task.text_column, task.label_column) == ("file:rows.csv", "review", "verdict")
    assert isinstance(init(rows, "--label", "verdict").exception, FileExists)
    assert init(rows, "--label", "verdict", "--force").exit_code == 0


def test_labels_that_cannot_be_learnt_are_refused_before_a_study_is_written(tmp_path: Path) -> None:
    """In the server's words, with both columns."""
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "\n".join(f"text {n},same" for n in range(40)))
    assert "'label': every training row has the one class 'same'" in refusal(file)
    assert not (tmp_path / "study.yaml").exists()
