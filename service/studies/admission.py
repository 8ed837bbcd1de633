"""Decide whether a posted study can work, before anything is stored or any GPU is touched.

Expands presets, resolves the backbone's shape and the task's classes, and tries every parameter
against the typed configuration. Everything wrong is reported at once, each with a JSON pointer.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from pydantic import ValidationError

from api_schemas.backbones import BackboneShape
from api_schemas.errors import MOST_ERRORS, FieldError
from api_schemas.json_values import written
from api_schemas.near_names import did_you_mean, meant
from api_schemas.objectives import (
    ConstraintOp,
    Direction,
    Metric,
    Objective,
    OutcomeConstraint,
)
from api_schemas.peft.registry import PeftMethod
from api_schemas.presets import expand_preset
from api_schemas.search_space import (
    FloatParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
    extremes_of,
)
from api_schemas.studies import EarlyStopping, StudyCreate
from api_schemas.trial_configuration import (
    Quantisation,
    TrialConfiguration,
    canonical,
    patch,
    read,
    settings_of,
)
from service.catalogue.backbones import by_name
from service.catalogue.tasks.facts import TaskFacts
from service.catalogue.tasks.sources import settled, task_facts
from service.errors import InvalidStudy
from service.settings import settings
from service.studies.custom_admission import custom_errors
from service.studies.default_starting_points import default_starting_points
from service.studies.layers import layer_errors, layer_of, with_layers
from service.studies.method_checks import METHOD, method_errors
from service.studies.natural_references import natural_reference

SEARCHABLE = ("peft.", "training.")
FIXED = {"training.seed": "the seed is not searched; set it in the configuration"}


@dataclass(frozen=True)
class AdmittedStudy:
    """A study that can work, with everything resolved that a proposal or a worker needs."""

    request: StudyCreate
    configuration: TrialConfiguration | None
    search_space: SearchSpace
    backbone_shape: BackboneShape | None
    classes: int | None
    starting_points: tuple[Parameterization, ...]
    reference_defaults: tuple[float | None, ...]


def admit(request: StudyCreate, *, tenant_id: str) -> AdmittedStudy:
    """Check a tenant's study against the backbones, the tasks and the configuration type.

    Raises:
        InvalidStudy: If it cannot work; `errors` names every guilty field.
    """
    given = request.configuration
    if given is None:
        return _admit_custom(request)
    checkpoint = by_name.checkpoint(given.backbone, models_dir=settings().models_dir)
    shape = checkpoint.shape
    data_dir = settings().data_dir
    task = settled(given.task, data_dir=data_dir, tenant_id=tenant_id)
    facts = task_facts(task, data_dir=data_dir)
    search_space = _expanded(request, shape)
    posted = given.model_copy(update={"task": task})
    configuration = with_layers(posted, shape, search_space=search_space)
    found = chain(
        _metric_errors(request, configuration, search_space),
        layer_errors(configuration, shape, search_space=search_space),
        _quantisation_errors(configuration, checkpoint.quantised),
        _task_errors(configuration, shape, facts),
        _parameter_errors(request, search_space, configuration, shape),
    )
    errors = list(islice(found, MOST_ERRORS))
    if not errors:
        own = _starting_point_errors(request, search_space, configuration)
        errors.extend(islice(own, MOST_ERRORS))
        errors.extend(
            method_errors(
                configuration,
                search_space,
                shape=shape,
                pointers=_pointers(request, search_space),
                own_bits=checkpoint.quantised,
            )
        )
    _refuse(errors)
    return AdmittedStudy(
        request=request,
        configuration=configuration,
        search_space=search_space,
        backbone_shape=shape,
        classes=facts.classes,
        starting_points=_starting_points(request, search_space, configuration, shape),
        reference_defaults=tuple(
            natural_reference(objective, configuration, search_space, shape=shape, facts=facts)
            for objective in request.objectives
        ),
    )


def check_task_file(admitted: AdmittedStudy, *, tenant_id: str) -> None:
    """See that the file that an admitted study trains on is still there, and the same.

    Raises:
        UnknownTask: If it was deleted since.
        InvalidTask: If it was replaced since.
    """
    task = None if admitted.configuration is None else admitted.configuration.task
    if task is not None and task.is_file:
        settled(task, data_dir=settings().data_dir, tenant_id=tenant_id)


def _admit_custom(request: StudyCreate) -> AdmittedStudy:
    search_space = SearchSpace(parameters=request.search_space.parameters)
    _refuse(list(islice(custom_errors(request, search_space), MOST_ERRORS)))
    return AdmittedStudy(
        request=request.model_copy(update={"early_stopping": EarlyStopping.NEVER}),
        configuration=None,
        search_space=search_space,
        backbone_shape=None,
        classes=None,
        starting_points=request.starting_points,
        reference_defaults=tuple(
            _bound_of(objective, request.constraints) for objective in request.objectives
        ),
    )


def _bound_of(objective: Objective, constraints: Sequence[OutcomeConstraint]) -> float | None:
    """Return the worst value that a limit leaves to an objective: beyond it nothing stands on the front."""
    minimize = objective.direction is Direction.MINIMIZE
    side = ConstraintOp.AT_MOST if minimize else ConstraintOp.AT_LEAST
    bounds = [item.bound for item in constraints if (item.metric, item.op) == (objective.metric, side)]
    if not bounds:
        return None
    return min(bounds) if minimize else max(bounds)


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise InvalidStudy("The study cannot work as posted; `errors` says where and why.", errors=errors)


def starting_parameterization(
    search_space: SearchSpace, configuration: TrialConfiguration, given: Parameterization
) -> Parameterization:
    """Complete a starting point: a parameter it leaves out takes the base configuration's value."""
    values = read(configuration, (parameter.name for parameter in search_space.parameters))
    return search_space.active(values | given)


def _starting_points(
    request: StudyCreate, search_space: SearchSpace, configuration: TrialConfiguration, shape: BackboneShape
) -> tuple[Parameterization, ...]:
    """Return the client's own points, then the default ones that say something else."""
    if not request.proposals.default_starting_points:
        return request.starting_points
    own = [
        canonical(patch(configuration, starting_parameterization(search_space, configuration, point)))
        for point in request.starting_points
    ]
    defaults = default_starting_points(search_space, configuration, shape=shape)
    return (
        *request.starting_points,
        *(point for point in defaults if canonical(patch(configuration, point)) not in own),
    )


def _metric_errors(
    request: StudyCreate, configuration: TrialConfiguration, search_space: SearchSpace
) -> list[FieldError]:
    named = {
        **{f"/objectives/{place}/metric": item.metric for place, item in enumerate(request.objectives)},
        **{f"/constraints/{place}/metric": item.metric for place, item in enumerate(request.constraints)},
    }
    measured = tuple(metric.value for metric in Metric)
    unknown = [
        FieldError(
            pointer=pointer,
            detail=f"A trial yields no '{metric}'; it yields {', '.join(measured)}"
            + (meant(metric, measured) or "."),
        )
        for pointer, metric in named.items()
        if metric not in measured
    ]
    searched = {parameter.name for parameter in search_space.parameters}
    own_modules = configuration.peft.method is PeftMethod.MODULES and METHOD not in searched
    uncounted = [
        FieldError(
            pointer=pointer,
            detail="It is known for our own modules only: set peft.method to 'modules' and do not search it, "
            "or name trainable_parameters.",
        )
        for pointer, metric in named.items()
        if metric == Metric.ADAPTER_FLOPS and not own_modules
    ]
    scaled = [
        FieldError(pointer=f"/objectives/{place}/log", detail="only metrics of a custom study may set this")
        for place, item in enumerate(request.objectives)
        if item.log
    ]
    return [*unknown, *uncounted, *scaled]


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


def _quantisation_errors(
    configuration: TrialConfiguration, own_bits: Quantisation | None
) -> Iterator[FieldError]:
    if own_bits is not None and configuration.quantisation is not None:
        yield FieldError(
            pointer="/configuration/quantisation",
            detail=f"the files of '{configuration.backbone}' are in {own_bits} already; leave this out",
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
    pointers = _pointers(request, search_space)
    for parameter in search_space.parameters:
        pointer = pointers[parameter.name]
        detail = _parameter_error(parameter, configuration, shape)
        if detail is not None:
            yield FieldError(pointer=pointer, detail=f"'{parameter.name}': {detail}")


def _pointers(request: StudyCreate, search_space: SearchSpace) -> dict[str, str]:
    """Return where the client wrote each parameter; a preset's own stand where the preset is named."""
    own = {
        parameter.name: f"/search_space/parameters/{position}"
        for position, parameter in enumerate(request.search_space.parameters)
    }
    return {parameter.name: own.get(parameter.name, "/search_space") for parameter in search_space.parameters}


def _parameter_error(
    parameter: Parameter, configuration: TrialConfiguration, shape: BackboneShape
) -> str | None:
    name = parameter.name
    if not name.startswith(SEARCHABLE):
        return f"only {' and '.join(SEARCHABLE)} paths can be searched{_near(name, configuration)}"
    if name in FIXED:
        return FIXED[name]
    layer = layer_of(name)
    if layer is not None and layer >= shape.layers:
        return f"the backbone has layers 0 to {shape.layers - 1}"
    limit = {"peft.first_active_layer": shape.layers - 1, "training.max_length": shape.max_positions}
    if name in limit and _beyond(parameter, limit[name]):
        what = "reads at most" if name.startswith("training") else "has layers 0 to"
        return f"the backbone {what} {limit[name]}"
    for value in _tried(parameter):
        try:
            patch(configuration, {name: value})
        except KeyError:
            return f"there is no such setting in a trial configuration{_near(name, configuration)}"
        except ValidationError as error:
            return f"the value {written(value)} is not legal there: {error.errors()[0]['msg']}"
    return None


def _near(name: str, configuration: TrialConfiguration) -> str:
    return meant(name, (path for path in settings_of(configuration) if path.startswith(SEARCHABLE)))


def _beyond(parameter: Parameter, limit: int) -> bool:
    return any(isinstance(value, int | float) and value > limit for value in extremes_of(parameter))


def _tried(parameter: Parameter) -> Sequence[ParameterValue]:
    """Return values that are all legal only if every value is."""
    extremes = extremes_of(parameter)
    if isinstance(parameter, FloatParameter):
        # The ends of a range may be whole numbers where what lies between is not.
        return (*extremes, parameter.low + (parameter.high - parameter.low) / math.pi)
    return extremes


def _starting_point_errors(
    request: StudyCreate, search_space: SearchSpace, configuration: TrialConfiguration
) -> Iterator[FieldError]:
    parameters = {parameter.name: parameter for parameter in search_space.parameters}
    for position, point in enumerate(request.starting_points):
        for name in sorted(point.keys() - parameters.keys()):
            yield FieldError(
                pointer=f"/starting_points/{position}/{name}",
                detail=f"the search space has no such parameter. {did_you_mean(name, list(parameters))}",
            )
        completed = starting_parameterization(search_space, configuration, point)
        for name, value in completed.items():
            if not parameters[name].contains(value):
                pointer = f"/starting_points/{position}" + (f"/{name}" if name in point else "")
                source = "" if name in point else ", which the base configuration sets,"
                yield FieldError(
                    pointer=pointer,
                    detail=f"{written(value)}{source} is not a value of the parameter '{name}'",
                )
