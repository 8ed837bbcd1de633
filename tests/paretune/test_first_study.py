"""`paretune init`, by its command; that what it writes runs is shown in `end_to_end/test_main_job.py`."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api_schemas.tasks import Task, TaskKind
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


def init_labels(folder: Path, labels: list[str], *options: str, ending: str = "csv") -> Task:
    """Return the task that `init` writes for texts with these labels."""
    file = folder / f"rows.{ending}"
    rows = [f'text {n},"{label}"' for n, label in enumerate(labels)]
    if ending == "jsonl":
        rows = [f'{{"text": "text {n}", "label": {label}}}' for n, label in enumerate(labels)]
    file.write_text("\n".join([*(["text,label"] if ending == "csv" else []), *rows]))
    done = init(file, *options)
    assert done.exit_code == 0, (done.output, done.exception)
    study = read_study_file(folder / "study.yaml")
    assert study.configuration is not None
    return study.configuration.task


def test_numbers_that_are_missing_do_not_decide_the_kind(tmp_path: Path) -> None:
    """As `json.dumps` writes them, a column of 0 and 1 stays one of classes."""
    task = init_labels(tmp_path, ["0.0", "1.0", "NaN"] * 20, ending="jsonl")
    assert (task.kind, task.missing_labels) == (TaskKind.CLASSIFICATION, None)


def test_what_stands_for_no_label_is_written_into_the_study(tmp_path: Path) -> None:
    """And said, for those rows are left out."""
    task = init_labels(tmp_path, ["0", "1", "nan"] * 20)
    assert (task.kind, task.missing_labels) == (TaskKind.CLASSIFICATION, ("nan",))
    assert "no label: nan" in init(tmp_path / "rows.csv", "--force").output


def test_what_stands_for_no_label_is_found_beyond_the_first_rows(tmp_path: Path) -> None:
    """Where the server would refuse it."""
    task = init_labels(tmp_path, [*["0", "1"] * 1500, "NA"])
    assert task.missing_labels == ("NA",)


def test_words_for_nothing_beside_words_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NA may be a region; with a yes, and with nobody there, it is no label."""
    monkeypatch.setattr(first_study, "somebody_is_there", lambda: True)
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "\n".join(f"text {n},{('EU', 'NA')[n % 2]}" for n in range(60)))
    done = CliRunner().invoke(app, ["init", str(file)], input="n\n")
    assert "'NA'" in done.output, done.output
    assert "missing_labels: []\n" in (tmp_path / "study.yaml").read_text()


def test_lists_in_cells_are_several_labels(tmp_path: Path) -> None:
    """As Python prints them, and as the documents say that they are read."""
    task = init_labels(tmp_path, ["['joy', 'fear']", "['joy']", "['fear']"] * 20)
    assert task.kind is TaskKind.MULTI_LABEL


def test_classes_by_number_are_asked_about_where_somebody_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are classes for those who do not answer, and values for those who say so."""
    numbers = [str(n) for n in range(30)] * 20
    assert init_labels(tmp_path, numbers).kind is TaskKind.CLASSIFICATION
    monkeypatch.setattr(first_study, "somebody_is_there", lambda: True)
    done = CliRunner().invoke(app, ["init", str(tmp_path / "rows.csv"), "--force"], input="regression\n")
    assert done.exit_code == 0, done.output
    assert "kind: regression" in (tmp_path / "study.yaml").read_text()


def test_the_kind_and_missing_labels_can_be_said(tmp_path: Path) -> None:
    """What a refusal asks for is an option; an empty one says that every label is a class."""
    signs = ["-1", "0", "2"] * 20
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(f"t {n},{v}" for n, v in enumerate(signs)))
    assert '--missing-label "-1"' in refusal(tmp_path / "rows.csv")
    assert init_labels(tmp_path, signs, "--missing-label", "-1").missing_labels == ("-1",)
    assert init_labels(tmp_path, signs, "--missing-label", "", "--force").missing_labels == ()
    task = init_labels(tmp_path, signs, "--kind", "regression", "--force")
    assert (task.kind, task.missing_labels) == (TaskKind.REGRESSION, None)


def test_labels_that_cannot_be_learnt_are_refused_before_a_study_is_written(tmp_path: Path) -> None:
    """In the server's words, with both columns."""
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "\n".join(f"text {n},same" for n in range(40)))
    assert "'label': every training row has the one class 'same'" in refusal(file)
    assert not (tmp_path / "study.yaml").exists()
