"""The typed view of a study row: validated once, and again after a change. Needs no database."""

import itertools

import pytest

from api_schemas.objectives import Objective
from api_schemas.studies import StudyKind
from service.storage import typed_study
from service.storage.models import Study

_numbers = itertools.count()


def row(kind: StudyKind = StudyKind.PEFT) -> Study:
    """A row of its own study, as far as the typed view reads it."""
    return Study(
        id=f"typed {next(_numbers)}",
        kind=kind,
        objectives=[
            {"metric": "score", "direction": "maximize"},
            {"metric": "latency_ms", "direction": "minimize"},
        ],
        constraints=[
            {"metric": "latency_ms", "op": "<=", "bound": 20.0},
            {"metric": "peak_memory_bytes", "op": "<=", "bound": 1e9},
        ],
    )


def test_an_unchanged_column_is_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second row of the same study with equal JSON gets the very values of the first."""
    first = row()
    again = Study(id=first.id, kind=first.kind, objectives=[dict(item) for item in first.objectives])
    known = typed_study.objectives(first)
    monkeypatch.setattr(Objective, "model_validate", None)
    assert typed_study.objectives(again) is known


def test_a_changed_column_is_validated_again() -> None:
    """New JSON under the same id never yields the old value."""
    study = row()
    typed_study.objectives(study)
    study.objectives = study.objectives[:1]
    assert [item.metric for item in typed_study.objectives(study)] == ["score"]


def test_only_a_custom_study_has_objectives_of_the_caller() -> None:
    """In a custom study the name `score` means nothing to the service."""
    assert typed_study.objectives(row())[0].of_the_service
    assert not typed_study.objectives(row(StudyKind.CUSTOM))[0].of_the_service


def test_each_named_metric_is_returned_once() -> None:
    """Objectives come first, then what only constraints name."""
    assert typed_study.named_metrics(row()) == ("score", "latency_ms", "peak_memory_bytes")


def test_an_absent_column_stays_absent() -> None:
    """A study without configuration, shape or importance has None for each."""
    study = row(StudyKind.CUSTOM)
    assert typed_study.configuration(study) is None
    assert typed_study.backbone_shape(study) is None
    assert typed_study.importance(study) is None


def test_studies_that_were_read_longest_ago_are_forgotten() -> None:
    """Memory is bounded: after many other studies the first is validated anew."""
    first = row()
    known = typed_study.objectives(first)
    for _ in range(typed_study.MOST_KEPT):
        typed_study.objectives(row())
    assert typed_study.objectives(first) == known
    assert typed_study.objectives(first) is not known
