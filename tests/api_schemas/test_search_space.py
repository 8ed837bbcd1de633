"""The search space language refuses what cannot be searched and keeps one spelling per configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api_schemas.search_space import Parameter, SearchSpace, SearchSpaceRequest

parameter_adapter: TypeAdapter[Parameter] = TypeAdapter(Parameter)


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [
        ({"type": "float", "name": "a", "low": 1.0, "high": 1.0}, "low must be less than high"),
        ({"type": "float", "name": "a", "low": 0.0, "high": 1.0, "log": True}, "greater than 0"),
        ({"type": "float", "name": "a", "low": float("nan"), "high": 1.0}, "finite"),
        ({"type": "float", "name": "a", "low": 0.0, "high": float("inf")}, "finite"),
        ({"type": "int", "name": "a", "low": 3, "high": 2}, "low must be less than high"),
        ({"type": "ordinal", "name": "a", "choices": [2, 1]}, "increasing"),
        ({"type": "ordinal", "name": "a", "choices": [1]}, "at least 2"),
        ({"type": "categorical", "name": "a", "choices": ["x", "x"]}, "repeat"),
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
        ]
    }
    assert SearchSpace.model_validate(given_space).model_dump(mode="json", by_alias=True) == given_space
