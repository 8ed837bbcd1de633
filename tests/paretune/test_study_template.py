"""The study file that `paretune init` writes."""

import pytest
import yaml

from api_schemas.studies import StudyCreate
from api_schemas.tasks import ScoreMetric, Task, TaskKind
from paretune.study_template import scalar, study_text
from paretune.table_look import Contents

TASK = Task(name="file:a.csv", kind=TaskKind.CLASSIFICATION, text_column="text", label_column="label")


def contents(*, rows: tuple[int, int, int] = (90, 10, 10), task: Task = TASK) -> Contents:
    return Contents(task, ("a", "b"), rows, {})


@pytest.mark.parametrize("name", ["text", "yes", "y", "1", "a: b", 'a "b"', "# a", "Ünï", "{x}"])
def test_any_name_of_a_column_survives_the_file(name: str) -> None:
    """Words that YAML takes for truth, numbers, quotes, colons and letters of any script."""
    assert yaml.safe_load(f"column: {scalar(name)}") == {"column": name}
    task = TASK.model_copy(update={"text_column": name})
    text = study_text(contents(task=task), path="a.csv", texts=["short"], gpu=False)
    assert StudyCreate.model_validate(yaml.safe_load(text)).configuration.task.text_column == name  # type: ignore[union-attr]


@pytest.mark.parametrize(("characters", "length"), [(20, 32), (200, 64), (900, 256), (9000, 256)])
def test_texts_are_cut_where_nine_in_ten_are_not(characters: int, length: int) -> None:
    """At four characters a token, within what takes minutes on a CPU."""
    texts = ["x" * characters] * 19 + ["x" * 10_000]
    assert f"max_length: {length}\n" in study_text(contents(), path="a.csv", texts=texts, gpu=False)


def test_many_rows_are_sampled_so_that_it_ends_in_minutes() -> None:
    """Fewer without a GPU; few rows are all used, in the folds that the server deals."""
    many = (50_000, 6_000, 6_000)
    assert "train_rows: 640\n" in study_text(contents(rows=many), path="a.csv", texts=["x"], gpu=False)
    assert "train_rows: 20000\n" in study_text(contents(rows=many), path="a.csv", texts=["x"], gpu=True)
    few = study_text(contents(), path="a.csv", texts=["x"], gpu=False)
    assert "train_rows" not in few
    assert "# All rows: 100 to train and validate on, in folds, 10 to test at the end.\n" in few


def test_every_label_has_rows_to_train_on() -> None:
    """However many labels there are."""
    labels = tuple(map(str, range(200)))
    many = Contents(TASK, labels, (50_000, 6_000, 6_000), {})
    assert "train_rows: 1600\n" in study_text(many, path="a.csv", texts=["x"], gpu=False)


def test_uneven_classes_are_scored_by_macro_f1() -> None:
    """Guessing the largest class has a high accuracy."""
    task = TASK.model_copy(update={"score": ScoreMetric.MACRO_F1})
    assert "score: macro_f1\n" in study_text(contents(task=task), path="a.csv", texts=["x"], gpu=False)
