"""`paretune init`: from a file of rows to a study file that runs, with as few questions as possible."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from api_schemas.tasks import TaskKind
from paretune.console import agreed, chosen, say, working
from paretune.errors import FileExists, ParetuneError
from paretune.gpus import gpu_is_visible
from paretune.label_look import guess_kind, guess_missing, stands_beside_words
from paretune.study_template import study_text
from paretune.table_look import (
    Column,
    Contents,
    Guess,
    UnreadableTable,
    contents_of,
    first_line_is_data,
    guess_label,
    guess_text,
    look_at,
    separator_of,
    whole_column,
)
from paretune.validation_report import left_out_lines

STUDY_FILE = "study.yaml"
MOST_SHOWN = 12


class ColumnUnknown(ParetuneError):
    """It is not clear which column is meant."""


class LabelsUnknown(ParetuneError):
    """It is not clear what the labels are."""


def write_first_study(
    file: Path,
    *,
    text: str | None,
    label: str | None,
    kind: TaskKind | None,
    missing_labels: Sequence[str] | None,
    output: Path | None,
    ask: bool,
    force: bool,
) -> Path:
    """Write a study on the rows of a file, and return where.

    Raises:
        UnreadableTable: If the file cannot be trained on; the message names the line or the column.
        ColumnUnknown: If a column is not there, or cannot be guessed and nobody is there to ask.
        LabelsUnknown: If somebody who was asked what the labels are does not say it.
        FileExists: If the study file is there already.
    """
    target = output or file.parent / STUDY_FILE
    path = _path_between(target, file)
    if target.exists() and not force:
        raise FileExists(f"{target} is there already. Name another --output, or give --force.")
    with working(f"Reading {file.name}"):
        columns = look_at(file)
    if text is None and label is None and first_line_is_data(columns):
        raise ColumnUnknown(
            f"The first line of {file.name} seems to be a row, not the names of the columns: "
            f"{_listed(columns):.300}. Put a line such as text,label before it, or name the columns."
        )
    by_name = {column.name: column for column in columns}
    texts = by_name[_settled("text", text, columns, guess=guess_text(columns), ask=ask)]
    others = [column for column in columns if column is not texts]
    if not others:
        raise ColumnUnknown(f"{file.name} has one column; a study needs one of texts and one of labels.")
    guess = guess_label(columns, text=texts.name)
    named = _settled("label", label, others, guess=guess, ask=ask)
    with working(f"Reading {file.name}"):
        labels = whole_column(file, named)
    asks = ask and somebody_is_there()
    settled_kind = kind or _settled_kind(labels, ask=asks)
    missing = _settled_missing(labels, missing_labels, kind=settled_kind, ask=asks)
    with working(f"Reading {file.name}"):
        found = contents_of(file, text=texts.name, label=labels, kind=settled_kind, missing=missing)
    say(*_what_was_found(file, columns, found))
    target.write_text(study_text(found, path=path, texts=texts.cells, gpu=gpu_is_visible()), encoding="utf-8")
    return target


def _path_between(target: Path, file: Path) -> str:
    """Return how the study file names the rows, which the server must be able to take by that name."""
    from service.catalogue.tasks.places import UPLOAD_NAME

    if not file.is_file():
        raise UnreadableTable(f"There is no file {file}.")
    if not UPLOAD_NAME.fullmatch(file.name):
        raise UnreadableTable(
            f"A server takes names of letters, digits, '_', '-' and '.', that end in .csv, .tsv, .jsonl or "
            f".parquet. Rename '{file.name}'."
        )
    path = os.path.relpath(file.absolute(), target.absolute().parent)
    if path.startswith(os.pardir):
        raise UnreadableTable(
            f"The rows must lie beside {target} or below it, "
            "so that the study finds them. Leave --output out."
        )
    return Path(path).as_posix()


def _settled(role: str, given: str | None, columns: Sequence[Column], *, guess: Guess, ask: bool) -> str:
    names = [column.name for column in columns]
    if given is not None:
        if given not in names:
            raise ColumnUnknown(
                f"There is no column '{given}' for the {role}. There are: {_listed(columns)}."
            )
        return given
    if guess.column is not None and (guess.sure or not ask or not somebody_is_there()):
        return guess.column
    answer = None
    if ask and somebody_is_there():
        say(f"Columns: {_listed(columns)}")
        answer = chosen(f"Which column is the {role}?", names, guess=guess.column)
    if answer is None:
        raise ColumnUnknown(f"Which column is the {role}? Say --{role} with one of: {_listed(columns)}.")
    return answer


def _settled_kind(labels: Column, *, ask: bool) -> TaskKind:
    guess = guess_kind(labels)
    if guess.sure or not ask:
        return guess.kind
    kinds = [str(TaskKind.CLASSIFICATION), str(TaskKind.REGRESSION)]
    question = f"'{labels.name}' has {len(labels.counts)} different numbers: classes, or values to predict"
    answer = chosen(f"{question} ({', '.join(kinds)})?", kinds, guess=guess.kind)
    if answer is None:
        raise LabelsUnknown(f"{question}? Say --kind with one of: {', '.join(kinds)}.")
    return TaskKind(answer)


def _settled_missing(
    labels: Column, given: Sequence[str] | None, *, kind: TaskKind, ask: bool
) -> tuple[str, ...] | None:
    """Return the `missing_labels` of the task; None where nothing needs to be said."""
    if given:
        return tuple(name for name in given if name)
    guess = guess_missing(labels, kind)
    if guess and ask and stands_beside_words(labels, guess):
        names = " and ".join(f"'{name}'" for name in guess)
        question = f"{names} among the labels of '{labels.name}': leave these rows out, as without a label?"
        return guess if agreed(question, by_default=True) else ()
    return guess or None


def somebody_is_there() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


def _what_was_found(file: Path, columns: Sequence[Column], found: Contents) -> list[str]:
    separator = separator_of(file)
    cells = "" if separator is None else f"UTF-8, cells separated by {separator}, "
    task, (train, validation, test) = found.task, found.split_rows
    labels = (
        f"{len(found.labels)} labels: {', '.join(found.labels[:MOST_SHOWN])}" if found.labels else "numbers"
    )
    more = ", ..." if len(found.labels) > MOST_SHOWN else ""
    missing = ", ".join(task.missing_labels or ())
    return [
        f"{file.name}: {cells}{len(columns)} columns: {_listed(columns)}",
        f"  text:  {task.text_column}",
        f"  label: {task.label_column} ({task.resolved_kind}, {labels}{more})",
        *([f"  no label: {missing} (missing_labels in the study)"] if missing else []),
        f"  rows:  {train:,} to train, {validation:,} to validate, {test:,} to test",
        *left_out_lines(found.dropped),
    ]


def _listed(columns: Sequence[Column]) -> str:
    more = ", ..." if len(columns) > MOST_SHOWN else ""
    return ", ".join(column.name for column in columns[:MOST_SHOWN]) + more
