"""A posted study is resolved, or refused with a pointer to each field that is wrong."""

from pathlib import Path
from typing import Any

import pytest

from api_schemas.search_space import values_of
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import patch
from service.errors import InvalidStudy
from service.studies.starting_points import starting_parameterization
from service.studies.validation import ValidStudy, validate_study
from tests.conftest import make_study_request, study_body

pytestmark = pytest.mark.usefixtures("service_environment")

SCORE = {"metric": "score", "direction": "maximize"}
FACTOR: dict[str, Any] = {
    "type": "float", "name": "training.learning_rate_factor", "low": 0.5, "high": 2,
}  # fmt: skip


def validated(content: bytes, tmp_path: Path, **task: Any) -> ValidStudy:
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "a.csv").write_bytes(content)
    configuration = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "file:a.csv", **task}}
    request = make_study_request(configuration=configuration, objectives=[SCORE])
    return validate_study(request, tenant_id="tnt_1")


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
        (csv(*[0, 1] * 40), {"resampling": {"folds": 16}, "train_rows": 20}, "resampling", "'0' has 15"),
    ],
)
def test_data_that_cannot_work_is_refused(
    content: bytes, task: dict[str, Any], field: str, detail: str, tmp_path: Path
) -> None:
    """422 with the field to blame."""
    with pytest.raises(InvalidStudy) as refused:
        validated(content, tmp_path, **task)
    found = {error.pointer: error.detail for error in refused.value.errors}
    assert detail in found[f"/configuration/task/{field}"]


def test_a_task_gives_a_study_its_classes_and_its_reference(tmp_path: Path) -> None:
    """The head has an output for each label, and the score must beat guessing."""
    valid = validated(csv(*["a", "b", "c"] * 30), tmp_path)
    assert valid.classes == 3
    assert valid.reference_defaults == (pytest.approx(1 / 3),)


def test_few_rows_of_a_file_are_dealt_into_folds(tmp_path: Path) -> None:
    """The stored configuration says so; a count of rows, or the word, keeps them held out."""
    few = csv(*["a", "b"] * 40)
    assert validated(few, tmp_path).configuration.task.folds == 5
    for task in ({"train_rows": 60}, {"resampling": "hold_out"}):
        assert validated(few, tmp_path, **task).configuration.task.folds is None


@pytest.mark.parametrize(
    ("task", "detail"),
    [
        ({"resampling": {"folds": 3}}, None),
        ({"resampling": {"folds": 3}, "train_rows": 2, "validation_rows": 2}, "'negative' has 2 in train"),
    ],
)
def test_a_packaged_task_may_be_dealt_into_folds(task: dict[str, Any], detail: str | None) -> None:
    """If the rows that it uses can fill them."""
    configuration = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes", **task}}
    request = make_study_request(configuration=configuration, objectives=[SCORE])
    if detail is None:
        valid = validate_study(request, tenant_id="tnt_1")
        assert valid.configuration is not None
        assert valid.configuration.task.folds == 3
        return
    with pytest.raises(InvalidStudy) as refused:
        validate_study(request, tenant_id="tnt_1")
    [error] = refused.value.errors
    assert error.pointer == "/configuration/task/resampling"
    assert detail in error.detail


def test_all_that_is_wrong_is_reported_at_once() -> None:
    """What relies on legal values is checked once all of them are; no range of integers is listed."""
    size = {"type": "int", "name": "peft.compacter.bottleneck_size", "low": 0, "high": 2**53}
    request = make_study_request(
        configuration={
            "backbone": "all-MiniLM-L6-v2",
            "task": {"name": "rotten-tomatoes"},
            "peft": {"first_active_layer": 6, "compacter": {"division": 7}},
        },
        objectives=[{**SCORE, "metric": "scores"}],
        search_space={"parameters": [size]},
    )
    with pytest.raises(InvalidStudy) as refused:
        validate_study(request, tenant_id="tnt_1")
    assert [error.pointer for error in refused.value.errors] == [
        "/objectives/0/metric",
        "/configuration/peft/first_active_layer",
        "/search_space/parameters/0",
    ]


def test_a_very_long_text_is_fine(tmp_path: Path) -> None:
    """A hundred thousand characters and more; it is cut when it is read by the network."""
    content = csv(*[0, 1] * 40) + b"\n" + b"long " * 40_000 + b",1\n"
    assert validated(content, tmp_path).configuration.task.sha256 is not None


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
        validate_study(request, tenant_id="tnt_1")
    found = {error.pointer: error.detail for error in refused.value.errors}
    assert detail in found[f"/configuration/task/{field}"]


def without_space(**changes: Any) -> ValidStudy:
    body = study_body(**changes)
    del body["search_space"]
    return validate_study(StudyCreate.model_validate(body), tenant_id="tnt_1")


def test_a_study_without_a_space_searches_every_method() -> None:
    """The preset `auto`, full fine-tuning with its exact cost in it; the reference is beyond the largest."""
    valid = without_space()
    method = valid.search_space.by_name["peft.method"]
    assert values_of(method) == ("modules", "rslora", "dora", "pissa", "bitfit", "head_only", "full")
    assert valid.backbone_shape is not None
    assert valid.backbone_shape.weights is not None
    whole = 22_566_146  # MiniLM without its pooler, and a head of two classes
    assert valid.reference_defaults[1] == pytest.approx(1.1 * whole)
    assert [valid.search_space.missing(point) for point in valid.starting_points] == [[]] * 8


def test_shapes_of_studies_that_train_no_weights_say_nothing_of_them() -> None:
    """Versions of before can read them."""
    valid = validate_study(make_study_request(), tenant_id="tnt_1")
    assert valid.backbone_shape is not None
    assert "weights" not in valid.backbone_shape.model_dump(mode="json")


def test_the_space_of_a_quantised_backbone_trains_no_weights() -> None:
    """Without a preset that adapts, the same method is refused where it stands."""
    configuration: dict[str, Any] = {
        "backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}, "quantisation": "8bit",
    }  # fmt: skip
    method = without_space(configuration=configuration).search_space.by_name["peft.method"]
    assert values_of(method) == ("modules", "rslora", "bitfit", "head_only")
    posted = {"type": "categorical", "name": "peft.method", "choices": ["modules", "full"]}
    with pytest.raises(InvalidStudy) as refused:
        validate_study(
            make_study_request(
                configuration=configuration, search_space={"preset": "auto", "parameters": [posted]}
            ),
            tenant_id="tnt_1",
        )
    [error] = refused.value.errors
    assert error.pointer == "/search_space/parameters/0"
    assert error.detail.startswith("'full' trains the weights, so they cannot be quantised")


@pytest.mark.parametrize(
    ("parameters", "pointer", "detail"),
    [
        ([FACTOR | {"high": 200}], "/search_space/parameters/0", "the value 200.0 is not legal there"),
        ([FACTOR | {"low": -1}], "/search_space/parameters/0", "the value -1.0 is not legal there"),
        (
            [FACTOR, FACTOR | {"name": "training.learning_rate", "high": 0.9}],
            "/search_space/parameters/1", "'training.learning_rate_factor' sets it",
        ),
        (
            [{"type": "ordinal", "name": "peft.lora.alpha_per_rank", "choices": [1, 2**52]},
             {"type": "ordinal", "name": "peft.lora.rank", "choices": [0, 8]}],
            "/search_space/parameters/0", "not legal there",
        ),
        (
            [{"type": "ordinal", "name": "peft.library.alpha_per_rank", "choices": [1, 2]}],
            "/search_space/parameters/0", "no method of this study reads it ('modules')",
        ),
        (
            [{"type": "float", "name": "training.learning_rate_factr", "low": 0.5, "high": 2}],
            "/search_space/parameters/0", "training.learning_rate_factor",
        ),
    ],
)  # fmt: skip
def test_multiples_that_cannot_work_are_refused(
    parameters: list[dict[str, Any]], pointer: str, detail: str
) -> None:
    """Under any method and at any rank that they may meet."""
    with pytest.raises(InvalidStudy) as refused:
        validate_study(make_study_request(search_space={"parameters": parameters}), tenant_id="tnt_1")
    [error] = refused.value.errors
    assert error.pointer == pointer
    assert detail in error.detail


def test_a_starting_point_has_its_methods_own_rate_unless_it_says_otherwise() -> None:
    """What it leaves out the base sets, but the base's rate is no method's own."""
    request = make_study_request(
        search_space={"preset": "auto"}, starting_points=[{"peft.method": "full"}, {FACTOR["name"]: 2.0}]
    )
    valid = validate_study(request, tenant_id="tnt_1")
    assert valid.configuration is not None
    rates = [
        patch(
            valid.configuration, starting_parameterization(valid.search_space, valid.configuration, point)
        ).training.learning_rate
        for point in valid.starting_points[:2]
    ]
    assert rates == [3e-5, 2e-2]
