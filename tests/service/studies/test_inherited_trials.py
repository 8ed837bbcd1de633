"""Which results a clone takes over, for every kind of edit of a space and every kind of parameter."""

import itertools
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.storage.database import transaction
from tests.conftest import sampled
from tests.service.studies.invariants import check_study
from tests.service.studies.test_imported_trials import imported
from tests.service.trials.test_ask_and_tell import METRICS, created

PARAMETERS: dict[str, dict[str, Any]] = {
    "float": {"type": "float", "low": 0, "high": 8},
    "log": {"type": "float", "low": 0.5, "high": 8, "log": True},
    "int": {"type": "int", "low": 0, "high": 8},
    "ordinal": {"type": "ordinal", "choices": [1, 2, 4]},
    "categorical": {"type": "categorical", "choices": ["a", "b", 1, True]},
    "bool": {"type": "bool"},
}
VALUES: dict[str, list[object]] = {
    "float": [1.5, 2.5],
    "log": [1.5, 2.5],
    "int": [1, 5],
    "ordinal": [1, 4],
    "categorical": ["a", 1, True],
    "bool": [True, False],
}
SAME: dict[str, set[tuple[str, int]]] = {
    # By kind before: the kind after, and how many of the values that has.
    "float": {("float", 2), ("log", 2)},
    "log": {("float", 2), ("log", 2)},
    "int": {("float", 2), ("log", 2), ("int", 2), ("ordinal", 1), ("categorical", 1)},
    "ordinal": {("float", 2), ("log", 2), ("int", 2), ("ordinal", 2), ("categorical", 1)},
    "categorical": {("categorical", 3), ("bool", 1), ("float", 1), ("log", 1), ("int", 1), ("ordinal", 1)},
    "bool": {("bool", 2), ("categorical", 1)},
}


def named(kind: str, name: str = "x", **changes: object) -> dict[str, Any]:
    return {**PARAMETERS[kind], "name": name, **changes}


def source_of(http: TestClient, kind: str, *others: dict[str, Any], **beside: object) -> str:
    """A study of one parameter, and perhaps others, with a result for each of a few values."""
    points = [{"x": value, **beside} for value in VALUES[kind]]
    return study_with(http, points, named(kind), *others)


def study_with(http: TestClient, points: list[dict[str, object]], *parameters: dict[str, Any]) -> str:
    space = {"parameters": list(parameters)}
    made = created(http, search_space=space, starting_points=[], state="PAUSED")
    past = [{"parameters": point, "metrics": METRICS} for point in points]
    assert imported(http, made, *past).json()["imported"] == len(past)
    return made


def taken(http: TestClient, source: str, *parameters: dict[str, Any]) -> int:
    """How many results a clone with these parameters takes over."""
    body = {"edits": {"search_space": {"parameters": list(parameters)}}, "import_trials": True}
    answer = http.post(f"/v1/studies/{source}:clone", json=body)
    assert answer.status_code == 201, answer.text
    clone = answer.json()
    with transaction() as session:
        check_study(session, clone["id"])
    past = [
        {"parameters": trial["parameters"], "metrics": trial["metrics"]}
        for trial in http.get(f"/v1/studies/{clone['id']}/trials").json()["trials"]
    ]
    if past:
        # The new study knows them for what they are: nothing is imported a second time.
        assert imported(http, clone["id"], *past).json() == {"imported": 0, "already_known": len(past)}
    return int(clone["trials"]["imported"])


@pytest.mark.parametrize("kind", sampled(PARAMETERS, keep=("float", "categorical")))
def test_a_parameter_added_removed_or_renamed_leaves_nothing_to_take_over(
    http: TestClient, kind: str
) -> None:
    """Whatever its kind, and that of the one beside it: 201, and no result is comparable."""
    source = source_of(http, kind)
    for added in PARAMETERS:
        assert taken(http, source, named(kind), named(added, "y")) == 0
    assert taken(http, source, named("int", "y"), named(kind)) == 0
    assert taken(http, source, named(kind, "renamed")) == 0
    two = source_of(http, kind, named("float", "y"), y=1.0)
    assert taken(http, two, named(kind)) == 0
    assert taken(http, two, named("float", "y")) == 0
    assert taken(http, two, named("float", "y"), named(kind)) == len(VALUES[kind])


@pytest.mark.parametrize("kind", sampled(PARAMETERS, keep=("int", "categorical")))
def test_a_parameter_of_another_kind_takes_over_the_values_that_it_has(http: TestClient, kind: str) -> None:
    """A whole number is a real one, a switch is no number, and text is text."""
    source = source_of(http, kind)
    found = {(other, count) for other in PARAMETERS if (count := taken(http, source, named(other)))}
    assert found == SAME[kind]


@pytest.mark.parametrize(
    ("kind", "narrower"),
    [
        ("float", {"low": 2}),
        ("log", {"low": 2}),
        ("int", {"low": 2}),
        ("ordinal", {"choices": [2, 4]}),
        ("categorical", {"choices": ["a", "c"]}),
    ],
)
def test_a_narrower_parameter_takes_over_what_lies_within(
    http: TestClient, kind: str, narrower: dict[str, object]
) -> None:
    """Of two or more values, the one."""
    assert taken(http, source_of(http, kind), named(kind, **narrower)) == 1


@pytest.mark.parametrize(
    ("parent", "kind"),
    sampled(
        itertools.product(PARAMETERS, ["float", "categorical", "bool"]),
        keep=[("float", "categorical"), ("categorical", "bool"), ("bool", "float")],
    ),
)
def test_a_condition_that_comes_or_goes_is_no_error(http: TestClient, parent: str, kind: str) -> None:
    """A child that never sleeps has no value in trials where it slept; one that sleeps was trained there."""
    first, last, value = VALUES[parent][0], VALUES[parent][-1], VALUES[kind][0]
    child = named(kind, "y", when={"parameter": "x", "in": [first]})
    source = study_with(http, [{"x": first, "y": value}, {"x": last}], named(parent), child)
    assert taken(http, source, named(parent), child) == 2
    assert taken(http, source, named(parent), named(kind, "y")) == 1
    assert taken(http, source, named(parent), {**child, "when": {"parameter": "x", "in": [last]}}) == 0
    assert taken(http, source, named(parent)) == 1
