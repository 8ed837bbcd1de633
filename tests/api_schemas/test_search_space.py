"""The search space language refuses what cannot be searched and keeps one spelling per configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api_schemas.search_space import (
    Parameter,
    ParameterValue,
    SearchSpace,
    SearchSpaceRequest,
    extremes_of,
    values_of,
)

parameter_adapter: TypeAdapter[Parameter] = TypeAdapter(Parameter)


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [
        ({"type": "float", "name": "a", "low": 1.0, "high": 0.9}, "low must not be greater than high"),
        ({"type": "float", "name": "a", "low": 0.0, "high": 1.0, "log": True}, "greater than 0"),
        ({"type": "float", "name": "a", "low": float("nan"), "high": 1.0}, "finite"),
        ({"type": "float", "name": "a", "low": 0.0, "high": float("inf")}, "finite"),
        ({"type": "int", "name": "a", "low": 3, "high": 2}, "low must not be greater than high"),
        ({"type": "int", "name": "a", "low": "3", "high": 4}, "valid integer"),
        ({"type": "int", "name": "a", "low": True, "high": 4}, "valid integer"),
        ({"type": "int", "name": "a", "low": 0, "high": 4.5}, "valid integer"),
        ({"type": "float", "name": "a", "low": "0", "high": 1.0}, "valid number"),
        ({"type": "float", "name": "a", "low": 0.0, "high": True}, "valid number"),
        ({"type": "float", "name": "a", "low": 0.0, "high": 10**400}, "valid number"),
        ({"type": "float", "name": "a", "low": 0.0, "high": 1.0, "step": 0.0}, "greater than 0"),
        ({"type": "float", "name": "a", "low": 0.1, "high": 1.0, "step": 0.1, "log": True}, "has no step"),
        ({"type": "int", "name": "a", "low": 1, "high": 9, "step": 2, "log": True}, "has no step"),
        ({"type": "float", "name": "a", "low": 0.0, "high": 1e9, "step": 0.5}, "billion steps"),
        ({"type": "ordinal", "name": "a", "choices": [2, 1]}, "increasing"),
        ({"type": "ordinal", "name": "a", "choices": []}, "at least 1"),
        ({"type": "ordinal", "name": "a", "choices": [2**53, 2**53 + 1]}, "increasing"),
        ({"type": "ordinal", "name": "a", "choices": [1, 10**400]}, "less than 1.8e308"),
        ({"type": "categorical", "name": "a", "choices": ["x", "x"]}, "repeat"),
        ({"type": "categorical", "name": "a", "choices": [0.0, -0.0]}, "repeat"),
        ({"type": "categorical", "name": "a", "choices": [1, 1.0]}, "repeat"),
        ({"type": "categorical", "name": "a", "choices": [10**18, 1e18]}, "repeat"),
        ({"type": "bool", "name": "A b"}, "pattern"),
        ({"type": "bool", "name": "a", "low": 1}, "Extra inputs"),
        ({"type": "colour", "name": "a"}, "does not match any of the expected tags"),
    ],
)
def test_a_parameter_that_cannot_be_searched_is_refused(parameter: dict[str, object], complaint: str) -> None:
    """Every malformed parameter is refused with a sentence that names the fault."""
    with pytest.raises(ValidationError, match=complaint):
        parameter_adapter.validate_python(parameter)


def test_a_repeated_name_is_refused() -> None:
    """Two parameters of one name would overwrite each other."""
    with pytest.raises(ValidationError, match="repeats the name 'a'"):
        SearchSpace.model_validate({"parameters": [{"type": "bool", "name": "a"}] * 2})


def test_an_empty_space_is_refused() -> None:
    """A study without anything to search is a mistake."""
    with pytest.raises(ValidationError, match="the search space is empty"):
        SearchSpaceRequest.model_validate({})


def test_a_condition_on_a_later_parameter_is_refused() -> None:
    """Conditions look back only, so cycles cannot be written."""
    child = {"type": "bool", "name": "b", "when": {"parameter": "a", "in": [True]}}
    with pytest.raises(ValidationError, match="no parameter before it"):
        SearchSpace.model_validate({"parameters": [child, {"type": "bool", "name": "a"}]})


def test_a_condition_that_never_holds_is_refused() -> None:
    """Waiting for a value that the parent never takes is a mistake; 1 is not True."""
    child = {"type": "bool", "name": "b", "when": {"parameter": "a", "in": [1]}}
    with pytest.raises(ValidationError, match="never takes"):
        SearchSpace.model_validate({"parameters": [{"type": "bool", "name": "a"}, child]})


@given(st.booleans(), st.booleans(), st.booleans())
def test_inactive_parameters_are_absent(a: bool, b: bool, c: bool) -> None:
    """A parameter is kept exactly if the whole chain of its conditions holds."""
    space = SearchSpace.model_validate(
        {
            "parameters": [
                {"type": "bool", "name": "a"},
                {"type": "bool", "name": "b", "when": {"parameter": "a", "in": [True]}},
                {"type": "bool", "name": "c", "when": {"parameter": "b", "in": [True]}},
            ]
        }
    )
    kept = space.active({"a": a, "b": b, "c": c})
    assert set(kept) == {"a"} | ({"b"} if a else set()) | ({"c"} if a and b else set())


def test_values_of_other_types_are_not_values_of_a_parameter() -> None:
    """True is no number, and a number is no switch."""
    number = parameter_adapter.validate_python({"type": "int", "name": "a", "low": 0, "high": 5})
    switch = parameter_adapter.validate_python({"type": "bool", "name": "a"})
    assert not number.contains(True)
    assert not switch.contains(1)
    assert number.contains(5)
    assert not number.contains(6)


def test_a_condition_survives_json() -> None:
    """The keyword `in` is spelled the same going in and coming out."""
    given_space = {
        "parameters": [
            {"type": "bool", "name": "a", "when": None},
            {"type": "bool", "name": "b", "when": {"parameter": "a", "in": [True]}},
        ],
        "identity": None,
    }
    assert SearchSpace.model_validate(given_space).model_dump(mode="json", by_alias=True) == given_space


@pytest.mark.parametrize(
    ("parameter", "given_value", "spelled"),
    [
        ({"type": "float", "low": 0.0, "high": 1e21}, 10**18, 1e18),
        ({"type": "float", "low": -1.0, "high": 1.0}, -0.0, 0.0),
        ({"type": "float", "low": -1.0, "high": 1.0}, 1, 1.0),
        ({"type": "int", "low": 0, "high": 5}, 3.0, 3),
        ({"type": "int", "low": 0, "high": 2**53}, float(2**53), 2**53),
        ({"type": "ordinal", "choices": [1, 2.5, 1e18]}, 10**18, 1e18),
        ({"type": "ordinal", "choices": [1, 2.5, 10**18]}, 10**18, 1e18),
        ({"type": "categorical", "choices": [True, 1, "1"]}, 1.0, 1),
        ({"type": "categorical", "choices": [False, -0.0]}, 0, 0.0),
        ({"type": "categorical", "choices": [1e23]}, 10**23, 1e23),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}, 3 * 0.1, 0.3),
        ({"type": "float", "low": -1, "high": 1, "step": 0.25}, -0.0, 0.0),
        ({"type": "int", "low": 1, "high": 10, "step": 4}, 9.0, 9),
    ],
)
def test_a_value_has_one_spelling(
    parameter: dict[str, object], given_value: float, spelled: ParameterValue
) -> None:
    """The one that comes back from JSON and from the database."""
    read = parameter_adapter.validate_python({"name": "a", **parameter})
    assert read.contains(given_value)
    assert repr(read.spelled(given_value)) == repr(spelled)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ({"type": "float", "low": 0.0, "high": 1.0}, [True, "0.5", None, [0.5], 1.5]),
        ({"type": "int", "low": 0, "high": 5}, [2.5, False, "3", None, {}]),
        ({"type": "ordinal", "choices": [1, 2]}, [True, "1", None, [1]]),
        ({"type": "categorical", "choices": [1, "a"]}, [True, None, ["a"]]),
        ({"type": "bool"}, [0, 1.0, "true", None]),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}, [0.25, 1.1]),
        ({"type": "float", "low": 0.0, "high": 0.95, "step": 0.1}, [0.95]),
        ({"type": "int", "low": 1, "high": 10, "step": 4}, [2, 10]),
    ],
)
def test_what_is_no_value_of_a_parameter(parameter: dict[str, object], values: list[object]) -> None:
    """Whatever it is: nothing raises."""
    read = parameter_adapter.validate_python({"name": "a", **parameter})
    assert not any(read.contains(value) for value in values)


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "float", "low": 0.5, "high": 0.5, "log": True},
        {"type": "int", "low": 3, "high": 3.0},
        {"type": "ordinal", "choices": [7]},
        {"type": "categorical", "choices": ["adam"]},
        {"type": "float", "low": 0.0, "high": 0.9, "step": 1.0},
        {"type": "int", "low": 0, "high": 3, "step": 4},
    ],
)
def test_a_parameter_of_one_value_is_a_constant(parameter: dict[str, object]) -> None:
    """It is allowed, and says so."""
    assert parameter_adapter.validate_python({"name": "a", **parameter}).is_constant


def space_with(*parameters: dict[str, object]) -> dict[str, object]:
    return {"parameters": parameters}


@pytest.mark.parametrize(
    ("parameter", "values", "extremes"),
    [
        ({"type": "bool"}, [False, True], [False, True]),
        ({"type": "ordinal", "choices": [1, 3, 8]}, [1, 3, 8], [1, 3, 8]),
        ({"type": "categorical", "choices": ["b", 1, True]}, ["b", 1, True], ["b", 1, True]),
        ({"type": "int", "low": 2, "high": 4}, [2, 3, 4], [2, 4]),
        ({"type": "int", "low": 2, "high": 9, "step": 3}, [2, 5, 8], [2, 8]),
        ({"type": "float", "low": 0.5, "high": 2.0}, [0.5, 2.0], [0.5, 2.0]),
    ],
)
def test_the_values_of_a_parameter(
    parameter: dict[str, object], values: list[object], extremes: list[object]
) -> None:
    """All of them, or the ends."""
    read = parameter_adapter.validate_python({"name": "a", **parameter})
    assert list(values_of(read)) == values
    assert list(extremes_of(read)) == extremes


def test_a_condition_holds_for_a_value_in_any_spelling() -> None:
    """0 is -0.0 is 0.0, and 10**18 is 1e18; True is not 1."""
    space = SearchSpace.model_validate(
        space_with(
            {"type": "float", "name": "a", "low": -1.0, "high": 1e21},
            {"type": "bool", "name": "b", "when": {"parameter": "a", "in": [0.0, 1e18]}},
        )
    )
    assert space.canonical({"a": -0.0, "b": True}) == {"a": 0.0, "b": True}
    assert space.missing({"a": 0}) == ["b"]
    assert space.missing({"a": 10**18}) == ["b"]
    assert space.missing({"a": 1e-300}) == []


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        (
            [
                {"type": "float", "name": "a", "low": 0.0, "high": 1.0},
                {
                    "type": "bool",
                    "name": "b",
                    "when": {"parameter": "a", "in": [n / 4096 for n in range(1001)]},
                },
            ],
            "waits for 1001 values; 1000 are the most",
        ),
        (
            [{"type": "ordinal", "name": f"a{n}", "choices": list(range(1000))} for n in range(101)],
            "has 101000 choices and values of conditions; 100000 are the most",
        ),
        ([{"type": "ordinal", "name": "a", "choices": list(range(1001))}], "at most 1000 items"),
        ([{"type": "bool", "name": f"a{n}"} for n in range(1001)], "at most 1000 items"),
    ],
)
def test_a_space_that_is_too_large_is_refused(parameters: list[object], complaint: str) -> None:
    """The sentence names the limit."""
    with pytest.raises(ValidationError, match=complaint):
        SearchSpaceRequest.model_validate({"parameters": parameters})


def test_a_large_space_of_former_days_is_still_read() -> None:
    """The limits are for what is posted: what was admitted before there were any stays readable."""
    child = {"type": "bool", "name": "b", "when": {"parameter": "a", "in": [n / 2**20 for n in range(5000)]}}
    space = SearchSpace.model_validate(space_with({"type": "float", "name": "a", "low": 0, "high": 1}, child))
    assert space.missing({"a": 0.0}) == ["b"]
