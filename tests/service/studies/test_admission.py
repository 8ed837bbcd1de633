"""What is wrong with a task's data is said when the study is posted, with a pointer."""

from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidStudy
from service.studies.admission import AdmittedStudy, admit
from tests.conftest import make_study_request

pytestmark = pytest.mark.usefixtures("service_environment")

SCORE = {"metric": "score", "direction": "maximize"}


def admitted(content: bytes, tmp_path: Path, **task: Any) -> AdmittedStudy:
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "a.csv").write_bytes(content)
    configuration = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "file:a.csv", **task}}
    request = make_study_request(configuration=configuration, objectives=[SCORE])
    return admit(request, tenant_id="tnt_1")


def csv(*labels: object, texts: bool = True) -> bytes:
    rows = [f"{f'text {n}' if texts else ''},{label}" for n, label in enumerate(labels)]
    return "\n".join(["text,label", *rows]).encode()


@pytest.mark.parametrize(
    ("content", "task", "field", "detail"),
    [
        (b"", {}, "name", "is empty"),
        (b"text,label\n", {}, "name", "is empty"),
        (b"text,label\n\xe9,1\n", {}, "name", "offset 11"),
        (csv(1), {"name": "file:b.csv"}, "name", "There is no file 'b.csv'"),
        (csv(1), {"text_column": "review"}, "text_column", "no column 'review'; there are: text, label"),
        (csv(1), {"label_column": "stars"}, "label_column", "no column 'stars'"),
        (csv(1), {"text_pair_column": "answer"}, "text_pair_column", "no column 'answer'"),
        (csv(1), {"group_column": "author"}, "group_column", "no column 'author'"),
        (csv(0, 1, texts=False), {}, "text_column", "every text"),
        (csv("", ""), {}, "name", "0 training rows"),
        (csv(1, 1), {}, "label_column", "one class '1'"),
        (csv(0, "many"), {"kind": "regression"}, "label_column", "row 2 has 'many'"),
        (csv(*[0, 1] * 3), {}, "name", "the validation split has 0 rows"),
        (csv(*[0, 1] * 40), {"train_rows": 61}, "train_rows", "the train split of 'file:a.csv' has 60 rows"),
        (csv(*[0, 1] * 40), {"test_rows": 11}, "test_rows", "has 10 rows"),
        (csv(0, 1), {"sha256": "0" * 64}, "sha256", "has other content now"),
    ],
)
def test_data_that_cannot_work_is_refused(
    content: bytes, task: dict[str, Any], field: str, detail: str, tmp_path: Path
) -> None:
    """422 with the field to blame."""
    with pytest.raises(InvalidStudy) as refused:
        admitted(content, tmp_path, **task)
    found = {error.pointer: error.detail for error in refused.value.errors}
    assert detail in found[f"/configuration/task/{field}"]


@pytest.mark.parametrize(
    ("labels", "task", "classes", "reference"),
    [
        (["a", "b", "c"], {}, 3, 1 / 3),
        (["a", "b", "c"], {"score": "matthews"}, 3, 0.0),
        (["a|b", "b|c", "c"], {"kind": "multi_label"}, 3, 0.0),
        ([1, 2, 3.5], {"kind": "regression"}, 1, 0.0),
        ([1, 2, 3.5], {"kind": "regression", "score": "negative_loss"}, 1, None),
    ],
)
def test_the_score_of_guessing_is_the_natural_reference(
    labels: list[object], task: dict[str, Any], classes: int, reference: float | None, tmp_path: Path
) -> None:
    """By the chosen score; the head has an output for each label, or one for a value."""
    found = admitted(csv(*labels * 30), tmp_path, **task)
    assert found.classes == classes
    assert found.reference_defaults == (None if reference is None else pytest.approx(reference),)


def test_a_very_long_text_is_fine(tmp_path: Path) -> None:
    """A hundred thousand characters and more; it is cut when it is read by the network."""
    content = csv(*[0, 1] * 40) + b"\n" + b"long " * 40_000 + b",1\n"
    assert admitted(content, tmp_path).configuration.task.sha256 is not None


@pytest.mark.parametrize(
    ("line", "kind", "field", "detail"),
    [
        (r'{"text": "\ud800", "label": 1}', "classification", "name", "half a surrogate pair"),
        ('{"text": ' + "[" * 100_000, "classification", "name", "Line 1 of 'a.jsonl' is no JSON"),
        ('{"text": "a", "label": {"b": 1}}', "classification", "label_column", "where a label should be"),
        ('{"text": "a", "label": 1' + "0" * 400 + "}", "regression", "label_column", "where a number should"),
    ],
)
def test_odd_json_is_refused(line: str, kind: str, field: str, detail: str, tmp_path: Path) -> None:
    """What Python's reader lets through, and what it chokes on."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text(line)
    task = {"name": "file:a.jsonl", "kind": kind}
    configuration = {"backbone": "all-MiniLM-L6-v2", "task": task}
    request = make_study_request(configuration=configuration, objectives=[SCORE])
    with pytest.raises(InvalidStudy) as refused:
        admit(request, tenant_id="tnt_1")
    found = {error.pointer: error.detail for error in refused.value.errors}
    assert detail in found[f"/configuration/task/{field}"]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # Six layers of MiniLM (width 384) with a serial adapter of size 8, and the head's 2 x 385.
        ("trainable_parameters", 1.1 * (6 * (2 * 384 * 8 + 8 + 384) + 770)),
        ("adapter_bytes", 1.1 * 4 * (6 * (2 * 384 * 8 + 8 + 384) + 770)),
        ("adapter_flops", 1.1 * 6 * 4 * 384 * 8),
    ],
)
def test_the_largest_configuration_is_the_natural_reference_of_a_known_cost(
    metric: str, expected: float
) -> None:
    """Exact functions of the configuration need no trial to know their range."""
    request = make_study_request(
        objectives=[SCORE, {"metric": metric, "direction": "minimize"}],
        search_space={
            "parameters": [
                {"type": "ordinal", "name": "peft.serial_adapter.bottleneck_size", "choices": [0, 4, 8]}
            ]
        },
    )
    assert admit(request, tenant_id="tnt_1").reference_defaults[1] == pytest.approx(expected)
