"""Which fields a task may have, by its source and its kind."""

import pytest
from pydantic import ValidationError

from api_schemas.tasks import SCORES, ScoreMetric, Task, TaskKind


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ({"name": "imdb", "text_column": "text"}, "text_column"),
        ({"name": "imdb", "kind": "regression"}, "kind"),
        ({"name": "file:a.csv", "revision": "main"}, "revision"),
        ({"name": "hub:a/b", "sha256": "0" * 64}, "sha256"),
    ],
)
def test_a_field_of_another_source_is_refused(task: dict[str, str], field: str) -> None:
    """The message names the field, and so does the pointer."""
    with pytest.raises(ValidationError, match=f"has no '{field}'") as refused:
        Task.model_validate(task)
    assert refused.value.errors()[0]["ctx"]["pointer"] == field


@pytest.mark.parametrize(
    ("kind", "score"),
    [("classification", "spearman"), ("multi_label", "matthews"), ("regression", "accuracy")],
)
def test_a_score_that_the_kind_does_not_have_is_refused(kind: str, score: str) -> None:
    """The message lists those that it has."""
    with pytest.raises(ValidationError, match=r"it has: .*negative_loss"):
        Task(name="file:a.csv", kind=TaskKind(kind), score=ScoreMetric(score))


@pytest.mark.parametrize(
    ("kind", "score"),
    [
        (None, "accuracy"),
        ("classification", "accuracy"),
        ("multi_label", "macro_f1"),
        ("regression", "spearman"),
    ],
)
def test_each_kind_has_a_score_of_its_own(kind: str | None, score: str) -> None:
    """Null means classification, and the kind's usual score."""
    task = Task.model_validate({"name": "file:a.csv", "kind": kind})
    assert task.resolved_score == score
    assert task.resolved_score is SCORES[task.resolved_kind][0]


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("reviews.csv", "file:reviews.csv"),
        ("data/Reviews.JSONL", "file:Reviews.JSONL"),
        (r"C:\data\reviews.parquet", "file:reviews.parquet"),
        ("reviews.csv.gz", "file:reviews.csv.gz"),
        ("File: reviews.csv", "file:reviews.csv"),
        ("stanfordnlp/sst2", "hub:stanfordnlp/sst2"),
        ("HUB:stanfordnlp/sst2", "hub:stanfordnlp/sst2"),
        ("https://huggingface.co/datasets/stanfordnlp/sst2", "hub:stanfordnlp/sst2"),
    ],
)
@pytest.mark.parametrize("columns", [{}, {"text_column": "review"}])
def test_a_name_without_its_source_says_how_to_write_it(
    written: str, right: str, columns: dict[str, str]
) -> None:
    """Whatever columns stand beside it."""
    with pytest.raises(ValidationError, match=f"Write '{right}'"):
        Task(name=written, **columns)


@pytest.mark.parametrize(
    ("resampling", "message"),
    [
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 21}, "less than or equal to 20"),
        ({"folds": "5"}, "valid integer"),
        ({}, "Field required"),
        (5, "valid dictionary"),
        ("leave_one_out", "'hold_out'"),
    ],
)
def test_what_is_no_resampling_is_refused(resampling: object, message: str) -> None:
    """Once, and not once for each form that it might have had."""
    with pytest.raises(ValidationError, match=message) as refused:
        Task.model_validate({"name": "imdb", "resampling": resampling})
    assert refused.value.error_count() == 1


def test_hold_out_by_default_leaves_no_trace() -> None:
    """Configurations are spelt as they were before there were folds."""
    assert "resampling" not in Task(name="imdb").model_dump(mode="json")
    folds = Task.model_validate({"name": "imdb", "resampling": {"folds": 5}})
    assert (folds.folds, Task(name="imdb").folds) == (5, None)
    assert Task.model_validate(folds.model_dump(mode="json")) == folds


def test_what_stands_for_no_label_is_left_out_where_nobody_says() -> None:
    """A worker of the version before knows no such field."""
    assert "missing_labels" not in Task(name="file:a.csv").model_dump(mode="json")
    said = Task(name="file:a.csv", missing_labels=())
    assert said.model_dump(mode="json")["missing_labels"] == []
    assert Task.model_validate(said.model_dump(mode="json")) == said


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("file:uploads/tnt_01a2/reviews.csv", "file:reviews.csv"),
        ("file:uploads.csv", "file:uploads.csv"),
        ("rotten-tomatoes", "rotten-tomatoes"),
    ],
)
def test_an_owner_reads_the_name_that_an_upload_was_given(stored: str, name: str) -> None:
    """Not whose folder it lies in."""
    assert Task(name=stored).owners_name == name
