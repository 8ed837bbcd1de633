"""Decide whether a posted study can work, before anything is stored or any GPU is touched.

Expands presets, resolves the backbone's shape and the task's classes, and tries every parameter
against the typed configuration. Everything wrong is reported at once, each with a JSON pointer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from api_schemas.backbones import BackboneShape
from api_schemas.errors import FieldError
from api_schemas.objectives import Direction, Metric, Objective
from api_schemas.presets import expand_preset
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from api_schemas.studies import StudyCreate
from api_schemas.trainable_parameters import trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service import catalogue
from service.errors import InvalidStudy
from service.settings import settings
from service.task_catalogue.sources import TaskFacts, settled, task_facts

SEARCHABLE = ("peft.", "training.")
FIXED = {"training.seed": "the seed is not searched; set it in the configuration"}


@dataclass(frozen=True)
class AdmittedStudy:
    """A study that can work, with everything resolved that a proposal or a worker needs."""

    request: StudyCreate
    configuration: TrialConfiguration
    search_space: SearchSpace
    backbone_shape: BackboneShape
    classes: int
    reference_defaults: tuple[float | None, ...]


def admit(request: StudyCreate, *, tenant_id: str) -> AdmittedStudy:
    """Check a tenant's study against the backbones, the tasks and the configuration type.

    Raises:
        InvalidStudy: If it cannot work; `errors` names every guilty field.
    """
    shape = catalogue.backbone_shape(request.configuration.backbone, models_dir=settings().models_dir)
    data_dir = settings().data_dir
    task = settled(request.configuration.task, data_dir=data_dir, tenant_id=tenant_id)
    facts = task_facts(task, data_dir=data_dir)
    configuration = _with_layers(request.configuration.model_copy(update={"task": task}), shape)
    search_space = _expanded(request, shape)
    errors = [
        *_layer_errors(configuration, shape),
        *_task_errors(configuration, shape, facts),
        *_parameter_errors(request, search_space, configuration, shape),
    ]
    if not errors:
        errors.extend(_starting_point_errors(request, search_space, configuration))
    if errors:
        raise InvalidStudy("The study cannot work as posted; `errors` says where and why.", errors=errors)
    return AdmittedStudy(
        request=request,
        configuration=configuration,
        search_space=search_space,
        backbone_shape=shape,
        classes=facts.classes,
        reference_defaults=tuple(
            _natural_reference(objective, configuration, search_space, shape=shape, facts=facts)
            for objective in request.objectives
        ),
    )


def starting_parameterization(
    search_space: SearchSpace, configuration: TrialConfiguration, given: Parameterization
) -> Parameterization:
    """Complete a starting point: a parameter it leaves out takes the base configuration's value."""
    base = configuration.model_dump(mode="json")
    values = {parameter.name: _value_at(base, parameter.name) for parameter in search_space.parameters}
    return search_space.active(values | given)


def _with_layers(configuration: TrialConfiguration, shape: BackboneShape) -> TrialConfiguration:
    if configuration.peft.active_layers is not None:
        return configuration
    peft = configuration.peft.model_copy(update={"active_layers": (True,) * shape.layers})
    return configuration.model_copy(update={"peft": peft})


def _expanded(request: StudyCreate, shape: BackboneShape) -> SearchSpace:
    own = request.search_space.parameters
    preset = request.search_space.preset
    names = {parameter.name for parameter in own}
    inherited = () if preset is None else expand_preset(preset, shape=shape)
    kept = tuple(parameter for parameter in inherited if parameter.name not in names)
    try:
        return SearchSpace(parameters=(*kept, *own))
    except ValidationError as error:
        raise InvalidStudy(
            "The search space cannot work; `errors` says where and why.",
            errors=[
                FieldError(pointer="/search_space/parameters", detail=item["msg"]) for item in error.errors()
            ],
        ) from error


def _layer_errors(configuration: TrialConfiguration, shape: BackboneShape) -> Iterator[FieldError]:
    layers = configuration.peft.active_layers or ()
    if len(layers) != shape.layers:
        yield FieldError(
            pointer="/configuration/peft/active_layers",
            detail=f"the backbone has {shape.layers} layers, not {len(layers)}; leave the list out for all",
        )


def _task_errors(
    configuration: TrialConfiguration, shape: BackboneShape, facts: TaskFacts
) -> Iterator[FieldError]:
    for split, rows in zip(("train", "validation", "test"), facts.split_rows, strict=True):
        wanted = getattr(configuration.task, f"{split}_rows")
        if wanted is not None and wanted > rows:
            yield FieldError(
                pointer=f"/configuration/task/{split}_rows",
                detail=f"the {split} split of '{facts.name}' has {rows} rows; leave this out for all of them",
            )
    if configuration.training.max_length > shape.max_positions:
        yield FieldError(
            pointer="/configuration/training/max_length",
            detail=f"the backbone reads at most {shape.max_positions} tokens",
        )


def _parameter_errors(
    request: StudyCreate, search_space: SearchSpace, configuration: TrialConfiguration, shape: BackboneShape
) -> Iterator[FieldError]:
    own = {parameter.name: position for position, parameter in enumerate(request.search_space.parameters)}
    for parameter in search_space.parameters:
        pointer = (
            f"/search_space/parameters/{own[parameter.name]}" if parameter.name in own else "/search_space"
        )
        detail = _parameter_error(parameter, configuration, shape)
        if detail is not None:
            yield FieldError(pointer=pointer, detail=f"'{parameter.name}': {detail}")


def _parameter_error(
    parameter: Parameter, configuration: TrialConfiguration, shape: BackboneShape
) -> str | None:
    name = parameter.name
    if not name.startswith(SEARCHABLE):
        return f"only {' and '.join(SEARCHABLE)} paths can be searched"
    if name in FIXED:
        return FIXED[name]
    if name.startswith("peft.active_layers.") and not 0 <= int(name.rsplit(".", 1)[1]) < shape.layers:
        return f"the backbone has layers 0 to {shape.layers - 1}"
    for value in _extremes(parameter):
        try:
            patch(configuration, {name: value})
        except KeyError:
            return "there is no such setting in a trial configuration"
        except ValidationError as error:
            return f"the value {value!r} is not legal there: {error.errors()[0]['msg']}"
    return None


def _starting_point_errors(
    request: StudyCreate, search_space: SearchSpace, configuration: TrialConfiguration
) -> Iterator[FieldError]:
    parameters = {parameter.name: parameter for parameter in search_space.parameters}
    for position, point in enumerate(request.starting_points):
        for name in point.keys() - parameters.keys():
            yield FieldError(
                pointer=f"/starting_points/{position}/{name}", detail="the search space has no such parameter"
            )
        completed = starting_parameterization(search_space, configuration, point)
        for name, value in completed.items():
            if not parameters[name].contains(value):
                pointer = f"/starting_points/{position}" + (f"/{name}" if name in point else "")
                source = "" if name in point else ", which the base configuration sets,"
                yield FieldError(
                    pointer=pointer, detail=f"{value!r}{source} is not a value of the parameter '{name}'"
                )


def _extremes(parameter: Parameter) -> tuple[ParameterValue, ...]:
    if isinstance(parameter, BoolParameter):
        return (False, True)
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices
    return (parameter.low, parameter.high)


def _natural_reference(
    objective: Objective,
    configuration: TrialConfiguration,
    search_space: SearchSpace,
    *,
    shape: BackboneShape,
    facts: TaskFacts,
) -> float | None:
    if objective.metric is Metric.SCORE and objective.direction is Direction.MAXIMIZE:
        return facts.chance_score(configuration.task.resolved_score)
    if objective.metric is Metric.TRAINABLE_PARAMETERS and objective.direction is Direction.MINIMIZE:
        largest = {parameter.name: _extremes(parameter)[-1] for parameter in search_space.parameters}
        return 1.1 * trainable_parameters(  # a configuration at the largest size still counts
            canonical(patch(configuration, largest)), shape=shape, classes=facts.classes
        )
    return None


def _value_at(node: object, path: str) -> ParameterValue:
    for part in path.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]  # type: ignore[index]
    return node  # type: ignore[return-value]
