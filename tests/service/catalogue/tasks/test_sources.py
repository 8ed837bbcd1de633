"""Facts and rows of a task: the same at the door and in the worker, and pinned in between."""

import json
from pathlib import Path

import pytest

from api_schemas.tasks import ScoreMetric, Task, TaskKind
from service.catalogue.tasks import reading
from service.catalogue.tasks.facts import TaskFacts
from service.catalogue.tasks.sources import load_task, settled, task_facts
from service.errors import InvalidTask, UnknownTask


def write(file: Path, count: int = 80, classes: int = 4) -> Path:
    lines = (json.dumps({"text": f"text {n}", "label": n % classes}) for n in range(count))
    file.write_text("\n".join(lines))
    return file


def settle(name: str, data_dir: Path, **fields: object) -> Task:
    task = Task.model_validate({"name": f"file:{name}", **fields})
    return settled(task, data_dir=data_dir, tenant_id="me")


def test_a_file_that_is_no_table_points_at_the_name(tmp_path: Path) -> None:
    """The sentence is that of the table's reader."""
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xff,1\n")
    with pytest.raises(InvalidTask, match="not UTF-8: the byte at offset 11") as refused:
        task_facts(settle("a.csv", tmp_path), data_dir=tmp_path)
    assert refused.value.errors[0].pointer == "/configuration/task/name"


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    """By the worker that would read it, and by the door if somebody posts the old hash."""
    file = write(tmp_path / "a.jsonl")
    task = settle("a.jsonl", tmp_path)
    assert load_task(task, data_dir=tmp_path).facts == task_facts(task, data_dir=tmp_path)
    write(file, 96)
    with pytest.raises(InvalidTask, match="has changed since the study was posted"):
        load_task(task, data_dir=tmp_path)
    with pytest.raises(InvalidTask, match="has other content now"):
        settle("a.jsonl", tmp_path, sha256=task.sha256)
    assert settle("a.jsonl", tmp_path).sha256 != task.sha256


def test_facts_of_a_file_are_read_once_for_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and score asked for do not matter; a changed file does."""
    reads: list[str] = []
    asked = reading.facts_of
    monkeypatch.setattr(
        reading, "facts_of", lambda task, files: reads.append(task.name) or asked(task, files)
    )
    file = write(tmp_path / "a.jsonl")
    task = settle("a.jsonl", tmp_path)
    for change in ({}, {"train_rows": 8}, {"score": ScoreMetric.MATTHEWS}):
        assert task_facts(task.model_copy(update=change), data_dir=tmp_path).split_rows == (64, 8, 8)
    assert reads == ["file:a.jsonl"]
    write(file, 160)
    assert sum(task_facts(settle("a.jsonl", tmp_path), data_dir=tmp_path).split_rows) == 160
    assert len(reads) == 2


def test_a_packaged_task_that_is_not_installed_is_refused_at_the_door(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every one of its trials would fail."""
    monkeypatch.setattr("service.catalogue.tasks.packaged.find_spec", lambda _: None)
    with pytest.raises(UnknownTask, match="pip install"):
        task_facts(Task(name="imdb"), data_dir=None)


def test_a_packaged_task_settles_to_itself() -> None:
    """There is nothing to pin."""
    task = Task(name="rotten-tomatoes", train_rows=5)
    assert settled(task, data_dir=None, tenant_id="me") == task


@pytest.mark.parametrize(
    ("kind", "labels", "score", "classes", "chance"),
    [
        (TaskKind.CLASSIFICATION, ("a", "b", "c", "d"), ScoreMetric.ACCURACY, 4, 0.25),
        (TaskKind.CLASSIFICATION, ("a", "b"), ScoreMetric.MATTHEWS, 2, 0.0),
        (TaskKind.MULTI_LABEL, ("a", "b", "c"), ScoreMetric.ACCURACY, 3, 0.0),
        (TaskKind.REGRESSION, (), ScoreMetric.SPEARMAN, 1, 0.0),
        (TaskKind.REGRESSION, (), ScoreMetric.NEGATIVE_LOSS, 1, None),
    ],
)
def test_guessing_has_a_score(
    kind: TaskKind, labels: tuple[str, ...], score: ScoreMetric, classes: int, chance: float | None
) -> None:
    """A share of right answers, no correlation, or nothing that could be known beforehand."""
    facts = TaskFacts("t", kind, labels, takes_pairs=False, split_rows=(1, 1, 1))
    assert (facts.classes, facts.chance_score(score)) == (classes, chance)
