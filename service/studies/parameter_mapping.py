"""Configurations of one study as parameterizations of another: other space, depth, width or base. Pure.

A layer is read at its relative depth, so that what a backbone of 12 layers has learned can be said
of one of 6 and back. Every value becomes the nearest legal one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from api_schemas.architecture import FFN_WIDTH, HEADS, KEEP_LAYERS
from api_schemas.backbones import BackboneShape
from api_schemas.json_values import is_number
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from api_schemas.trial_configuration import TrialConfiguration, patch, readable
from service.studies.layers import BY_LAYER, setting_at, with_layers

FIRST_ACTIVE_LAYER = "peft.first_active_layer"


@dataclass(frozen=True)
class StudySpace:
    """What a study searches, from which base configuration, on a backbone of which shape.

    A custom study has neither: its parameters are nothing but names.
    """

    search_space: SearchSpace
    configuration: TrialConfiguration | None
    backbone_shape: BackboneShape | None


def shared_parameters(source: SearchSpace, target: SearchSpace) -> set[str]:
    """Name the parameters that both search, whatever the layer."""
    return _names(source) & _names(target)


def map_parameterizations(
    parameterizations: Iterable[Parameterization], *, source: StudySpace, target: StudySpace
) -> list[Parameterization]:
    """Return each trial of the source in the target's parameters.

    A parameter that the source does not search takes the value of the source's base configuration,
    or of the target's where the source has no such setting; in custom studies, where neither has one,
    its lowest value or first choice.
    """
    base = None if target.configuration is None else readable(target.configuration)
    found = []
    for values in parameterizations:
        read = _reader(values, source=source, target=target)
        mapped = {
            name: _nearest(parameter, read(name), otherwise=setting_at(base, name))
            for name, parameter in target.search_space.by_name.items()
        }
        found.append(target.search_space.active(mapped))
    return found


def layer_at_same_depth(layer: int, *, layers: int, of: int) -> int:
    """Return the layer, of `of`, in which the middle of a layer of `layers` lies."""
    return (2 * layer + 1) * of // (2 * layers)


def _names(search_space: SearchSpace) -> set[str]:
    return {_with_layer(parameter.name, "*") for parameter in search_space.parameters}


def _with_layer(name: str, layer: object) -> str:
    found = BY_LAYER.match(name)
    return name if found is None else f"{name[: found.start(2)]}{layer}{name[found.end(2) :]}"


def _reader(values: Parameterization, *, source: StudySpace, target: StudySpace) -> Callable[[str], object]:
    """Return what says the value that a trial of the source had of a parameter of the target."""
    if source.configuration is None or source.backbone_shape is None:
        return values.get
    configuration = patch(source.configuration, values)
    if target.backbone_shape is None:
        return partial(setting_at, readable(configuration))
    layered = with_layers(configuration, source.backbone_shape, search_space=target.search_space)
    return partial(_read, readable(layered), to=target.backbone_shape, of=source.backbone_shape)


def _read(trained: object, name: str, *, to: BackboneShape, of: BackboneShape) -> object:
    found = BY_LAYER.match(name)
    if found is not None:
        name = _with_layer(name, layer_at_same_depth(int(found[2]), layers=to.layers, of=of.layers))
    value = setting_at(trained, name)
    if name in (FIRST_ACTIVE_LAYER, KEEP_LAYERS) and isinstance(value, int):
        return (2 * value * to.layers + of.layers) // (2 * of.layers)
    if name.startswith(FFN_WIDTH) and isinstance(value, int):
        return value * to.ffn_size / of.ffn_size
    if name == HEADS and isinstance(value, int) and to.heads and of.heads:
        return value * to.heads / of.heads
    return value


def _nearest(parameter: Parameter, value: object, *, otherwise: object) -> ParameterValue:
    if isinstance(parameter, BoolParameter):
        return next((found for found in (value, otherwise) if isinstance(found, bool)), False)
    if isinstance(parameter, CategoricalParameter):
        legal = [
            found
            for found in (value, otherwise)
            if isinstance(found, bool | int | float | str) and parameter.contains(found)
        ]
        return legal[0] if legal else parameter.choices[0]
    lowest = parameter.choices[0] if isinstance(parameter, OrdinalParameter) else parameter.low
    number = next((found for found in (value, otherwise) if is_number(found)), lowest)
    if isinstance(parameter, OrdinalParameter):
        return min(parameter.choices, key=lambda choice: abs(choice - number))
    clipped = min(max(number, parameter.low), parameter.high)
    if parameter.step is not None and parameter.steps is not None:
        nearest = round((clipped - parameter.low) / parameter.step)
        clipped = parameter.value_at(min(nearest, parameter.steps))
    return float(clipped) if isinstance(parameter, FloatParameter) else round(clipped)
