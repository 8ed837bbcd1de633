"""Decide whether a study can work whose trials the caller runs. Nothing but the request is looked at."""

from collections.abc import Iterator

from api_schemas.errors import FieldError
from api_schemas.json_values import written
from api_schemas.near_names import did_you_mean
from api_schemas.objectives import RESERVED_METRICS
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.studies import StudyCreate


def custom_errors(request: StudyCreate, search_space: SearchSpace) -> Iterator[FieldError]:
    """Find what cannot work in a custom study."""
    for place, objective in enumerate(request.objectives):
        yield from _reserved(f"/objectives/{place}/metric", objective.metric)
    logarithmic = {objective.metric for objective in request.objectives if objective.log}
    for place, constraint in enumerate(request.constraints):
        yield from _reserved(f"/constraints/{place}/metric", constraint.metric)
        if constraint.metric in logarithmic and constraint.bound <= 0:
            yield FieldError(
                pointer=f"/constraints/{place}/bound",
                detail=f"'{constraint.metric}' is on a logarithmic scale: a bound must be greater than 0",
            )
    for place, point in enumerate(request.starting_points):
        yield from parameter_errors(search_space, point, pointer=f"/starting_points/{place}")


def parameter_errors(
    search_space: SearchSpace, point: Parameterization, *, pointer: str
) -> Iterator[FieldError]:
    """Find the values that no parameter has, and the active parameters that have none."""
    parameters = {parameter.name: parameter for parameter in search_space.parameters}
    for name in sorted(point.keys() - parameters.keys()):
        yield FieldError(
            pointer=f"{pointer}/{_escaped(name)}",
            detail=f"the search space has no such parameter. {did_you_mean(name, list(parameters))}",
        )
    illegal = {
        name for name in point.keys() & parameters.keys() if not parameters[name].contains(point[name])
    }
    for name in sorted(illegal):
        yield FieldError(
            pointer=f"{pointer}/{_escaped(name)}",
            detail=f"{written(point[name])} is not a value of the parameter '{name}'",
        )
    if not illegal:
        for name in search_space.missing(point):
            yield FieldError(pointer=pointer, detail=f"the parameter '{name}' has no value")


def _reserved(pointer: str, metric: str) -> Iterator[FieldError]:
    if metric in RESERVED_METRICS:
        yield FieldError(pointer=pointer, detail=f"the service itself writes '{metric}'; take another name")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
