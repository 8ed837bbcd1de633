"""The rows of a task are shown as a study would take them."""

import pytest
from fastapi.testclient import TestClient

from tests.conftest import OTHER_KEY
from tests.service.conftest import bearer

PREVIEW = "/v1/tasks:preview"
CSV = (
    "words,mood\n"
    + "".join(f"text {number},{'good' if number % 4 else 'bad'}\n" for number in range(80))
    + "text 1,good\n,good\nno label,\n"
)


def upload(client: TestClient, content: str = CSV) -> None:
    assert client.put("/v1/task_files/mine.csv", content=content).status_code == 200


@pytest.mark.parametrize(
    ("task", "pointer"),
    [
        ({"name": "file:mine.csv"}, "/text_column"),
        ({"name": "file:mine.csv", "text_column": "words"}, "/label_column"),
        ({"name": "file:other.csv"}, "/name"),
        ({"name": "no-task"}, "/name"),
        ({"name": "rotten-tomatoes", "label_column": "x"}, "/label_column"),
    ],
)
def test_a_task_that_cannot_be_used_is_refused_at_its_field(
    client: TestClient, task: dict[str, str], pointer: str
) -> None:
    """422 with a pointer into the task itself."""
    upload(client)
    refused = client.post(PREVIEW, json=task)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


def test_anothers_file_is_not_there(client: TestClient) -> None:
    """Neither its rows nor its head."""
    upload(client)
    other = bearer(OTHER_KEY)
    assert client.post(PREVIEW, json={"name": "file:mine.csv"}, headers=other).status_code == 422
    assert client.get("/v1/task_files/mine.csv", headers=other).status_code == 404


def test_labels_are_counted_and_what_is_dropped_is_said(client: TestClient) -> None:
    """A repeated text, an empty one and one without a label are not among the rows."""
    upload(client)
    found = client.post(
        PREVIEW, json={"name": "file:mine.csv", "text_column": "words", "label_column": "mood"}
    ).json()
    assert found["labels"] == [{"label": "bad", "rows": 20}, {"label": "good", "rows": 60}]
    assert [found[f"{split}_rows"] for split in ("train", "validation", "test")] == [62, 9, 9]
    assert found["dropped"] == {"repeated_texts": 1, "empty_texts": 1, "missing_labels": 1}


def test_values_have_ends_and_no_labels(client: TestClient) -> None:
    """Where a number is predicted."""
    upload(client, "text,label\n" + "".join(f"text {number},{number / 2}\n" for number in range(80)))
    found = client.post(PREVIEW, json={"name": "file:mine.csv", "kind": "regression"}).json()
    assert (found["labels"], found["least"], found["largest"]) == ([], 0.0, 39.5)


def test_a_packaged_task_is_counted_too(client: TestClient) -> None:
    """As its package has it."""
    found = client.post(PREVIEW, json={"name": "sms-spam"}).json()
    assert [label["label"] for label in found["labels"]] == ["ham", "spam"]
    assert sum(label["rows"] for label in found["labels"]) == 3402 + 566 + 566


def test_the_first_rows_of_a_file_are_shown(client: TestClient) -> None:
    """Five at most, and no cell in full length."""
    upload(client, "text,label\n" + "".join(f"{'x' * 300},{number}\n" for number in range(9)))
    head = client.get("/v1/task_files/mine.csv").json()
    assert (head["name"], head["rows"], head["columns"]) == ("mine.csv", 9, ["text", "label"])
    assert head["first_rows"] == [["x" * 199 + "…", str(number)] for number in range(5)]
    assert client.get("/v1/task_files/none.csv").status_code == 404
