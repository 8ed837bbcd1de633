"""Whether each parameter of a draft is a setting of its trials, and each of its values legal there."""

import math
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from api_schemas.derived_settings import DERIVED, LEARNING_RATE_FACTOR, SET_BY
from api_schemas.errors import FieldError
from api_schemas.json_values import is_number, written
from api_schemas.near_names import meant
from api_schemas.peft.learning_rates import LEARNING_RATES
from api_schemas.search_space import (
    FloatParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    extremes_of,
)
from api_schemas.trial_configuration import TrialConfiguration, patch, settings_of
from service.studies.layers import layer_of
from service.studies.study_draft import StudyDraft

SEARCHABLE = ("peft.", "training.", "architecture.")
FIXED = {"training.seed": "the seed is not searched; set it in the configuration"}


def parameter_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find parameters that cannot be searched, with the first reason of each."""
    for parameter in draft.search_space.parameters:
        problem = _problem(parameter, draft)
        if problem is not None:
            pointer = draft.pointers[parameter.name]
            yield FieldError(pointer=pointer, detail=f"'{parameter.name}': {problem}")


def _problem(parameter: Parameter, draft: StudyDraft) -> str | None:
    name, configuration, shape = parameter.name, draft.configuration, draft.backbone.shape
    if not name.startswith(SEARCHABLE):
        return f"only {', '.join(SEARCHABLE)} paths can be searched{_near(name, configuration)}"
    if name in FIXED:
        return FIXED[name]
    if SET_BY.get(name) in draft.search_space.by_name:
        return f"it has no effect, for '{SET_BY[name]}' sets it; search one of the two"
    layer = layer_of(name)
    if layer is not None and layer >= shape.layers:
        return f"the backbone has layers 0 to {shape.layers - 1}"
    if name == "peft.first_active_layer" and _exceeds(parameter, shape.layers - 1):
        return f"the backbone has layers 0 to {shape.layers - 1}"
    if name == "training.max_length" and _exceeds(parameter, shape.max_positions):
        return f"the backbone reads at most {shape.max_positions}"
    for value in _representative_values(parameter):
        try:
            for tried in _tried(name, value, draft):
                patch(configuration, tried)
        except KeyError:
            return f"there is no such setting in a trial configuration{_near(name, configuration)}"
        except ValidationError as error:
            return f"the value {written(value)} is not legal there: {error.errors()[0]['msg']}"
    return None


def _tried(name: str, value: ParameterValue, draft: StudyDraft) -> Sequence[Parameterization]:
    """Return what to patch to see whether a value is legal: a multiple with all that it may meet."""
    if name == LEARNING_RATE_FACTOR and is_number(value):
        return [{DERIVED[name].sets: value * rate} for rate in (min(LEARNING_RATES), max(LEARNING_RATES))]
    rank = draft.search_space.by_name.get(name.replace("alpha_per_rank", "rank"))
    if name in DERIVED and rank is not None:
        return [{rank.name: extreme, name: value} for extreme in extremes_of(rank)]
    return [{name: value}]


def _near(name: str, configuration: TrialConfiguration) -> str:
    return meant(name, (path for path in settings_of(configuration) if path.startswith(SEARCHABLE)))


def _exceeds(parameter: Parameter, limit: int) -> bool:
    return any(isinstance(value, int | float) and value > limit for value in extremes_of(parameter))


def _representative_values(parameter: Parameter) -> Sequence[ParameterValue]:
    """Return values that are all legal only if every value is."""
    extremes = extremes_of(parameter)
    if isinstance(parameter, FloatParameter):
        # The ends of a range may be whole numbers where what lies between is not.
        return (*extremes, parameter.low + (parameter.high - parameter.low) / math.pi)
    return extremes
