"""Whether starting points, and parameterizations of past results, have values that a search space allows."""

from collections.abc import Iterator

from api_schemas.errors import FieldError
from api_schemas.explanations import pointer_of
from api_schemas.json_values import written
from api_schemas.near_names import did_you_mean
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.studies import StudyCreate
from service.studies.starting_points import starting_parameterization
from service.studies.study_draft import StudyDraft


def starting_point_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find illegal values in the starting points of a PEFT study, which the base configuration completes."""
    parameters = draft.search_space.by_name
    for place, point in enumerate(draft.request.starting_points):
        pointer = f"/starting_points/{place}"
        yield from _unknown_parameters(draft.search_space, point, pointer=pointer)
        completed = starting_parameterization(draft.search_space, draft.configuration, point)
        for name, value in completed.items():
            if not parameters[name].contains(value):
                source = "" if name in point else ", which the base configuration sets,"
                yield FieldError(
                    pointer=pointer + (pointer_of((name,)) if name in point else ""),
                    detail=f"{written(value)}{source} is not a value of the parameter '{name}'",
                )


def custom_starting_point_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find illegal and missing values in the starting points of a custom study."""
    search_space = SearchSpace(parameters=request.search_space.parameters)
    for place, point in enumerate(request.starting_points):
        yield from parameterization_errors(search_space, point, pointer=f"/starting_points/{place}")


def parameterization_errors(
    search_space: SearchSpace, values: Parameterization, *, pointer: str
) -> Iterator[FieldError]:
    """Find values that no parameter has, and active parameters without a value."""
    yield from _unknown_parameters(search_space, values, pointer=pointer)
    parameters = search_space.by_name
    illegal = [
        name for name in sorted(values.keys() & parameters) if not parameters[name].contains(values[name])
    ]
    for name in illegal:
        yield FieldError(
            pointer=pointer + pointer_of((name,)),
            detail=f"{written(values[name])} is not a value of the parameter '{name}'",
        )
    if not illegal:
        for name in search_space.missing(values):
            yield FieldError(pointer=pointer, detail=f"the parameter '{name}' has no value")


def _unknown_parameters(
    search_space: SearchSpace, values: Parameterization, *, pointer: str
) -> Iterator[FieldError]:
    names = list(search_space.by_name)
    for name in sorted(values.keys() - names):
        yield FieldError(
            pointer=pointer + pointer_of((name,)),
            detail=f"the search space has no such parameter. {did_you_mean(name, names)}",
        )
