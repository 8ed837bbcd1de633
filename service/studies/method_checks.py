"""Whether the PEFT methods of a study can work on its backbone, for every value that is searched.

A setting may be fixed in the configuration or searched, and so may the method. Each value of each
setting is tried under each method that reads it; projections that a search may switch on count as on.
"""

from collections.abc import Iterator, Mapping, Sequence

from api_schemas.backbones import ROLES, BackboneShape
from api_schemas.errors import FieldError
from api_schemas.peft.fitness import method_problem, setting_problem
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import OWN_MODULES, SETTINGS, PeftMethod
from api_schemas.search_space import Parameter, ParameterValue, SearchSpace, values_of
from api_schemas.trial_configuration import Quantisation, TrialConfiguration

METHOD = "peft.method"


def method_errors(
    configuration: TrialConfiguration,
    search_space: SearchSpace,
    *,
    shape: BackboneShape,
    pointers: Mapping[str, str],
    own_bits: Quantisation | None = None,
) -> Iterator[FieldError]:
    """Name every method, and every value of a size, that cannot work.

    `pointers` says where the client wrote each searched parameter; `own_bits` in how many bits the
    backbone's own files are, if they are quantised. All values must be legal at their paths already.
    """
    searched = {parameter.name: parameter for parameter in search_space.parameters}
    methods = _methods(configuration, searched)
    yield from _unread(configuration, searched, methods, pointers=pointers)
    max_length = int(max(_values("training.max_length", searched, default=configuration.training.max_length)))
    for method in methods:
        method_pointer = pointers.get(METHOD, "/configuration/peft/method")
        defined = method.definition
        unfit = method_problem(defined, shape=shape)
        if unfit is not None:
            yield FieldError(pointer=method_pointer, detail=unfit)
            continue
        if configuration.quantisation is not None and defined.reads_frozen_weights:
            yield FieldError(
                pointer=method_pointer,
                detail=f"'{method}' computes with the frozen weights, so they cannot be quantised; leave "
                "'quantisation' out",
            )
        if own_bits is not None and defined.reads_frozen_weights:
            yield FieldError(
                pointer=method_pointer,
                detail=f"'{method}' computes with the frozen weights, and the files of "
                f"'{configuration.backbone}' hold them in {own_bits}; take whole weights or another method",
            )
        settings = _with_possible_roles(configuration.peft.library, method, searched)
        if defined.is_targeted and not settings.targets:
            yield FieldError(
                pointer="/configuration/peft/library",
                detail=f"'{method}' needs a projection to change: switch one of {', '.join(ROLES)} on",
            )
        for setting in defined.limits:
            yield from _setting_errors(
                method, setting, settings, searched, shape=shape, max_length=max_length, pointers=pointers
            )


def _unread(
    configuration: TrialConfiguration,
    searched: Mapping[str, Parameter],
    methods: Sequence[PeftMethod],
    *,
    pointers: Mapping[str, str],
) -> Iterator[FieldError]:
    """Name what is searched or set although no method of the study reads it."""
    listed = ", ".join(f"'{method}'" for method in methods)
    for name, parameter in searched.items():
        under = [method for method in methods if _active_under(parameter, method)]
        if name.startswith("peft.") and not any(_reads(method, name) for method in under):
            detail = f"'{name}' has no effect: no method of this study reads it ({listed})"
            yield FieldError(pointer=pointers[name], detail=detail)
    # A list that is written out for the search is not the client's.
    written_out = {name.split(".")[1] for name in searched if ".by_layer." in name}
    for section in sorted({*OWN_MODULES, "library"} - written_out):
        chosen = getattr(configuration.peft, section)
        if chosen != type(chosen)() and not any(_reads(method, f"peft.{section}") for method in methods):
            detail = f"no method of this study reads this section ({listed}); leave it out"
            yield FieldError(pointer=f"/configuration/peft/{section}", detail=detail)


def _reads(method: PeftMethod, name: str) -> bool:
    _, section, *rest = name.split(".")
    if section == "method":
        return True
    if section == "library":
        return bool(SETTINGS[method]) if not rest else rest[0] in SETTINGS[method]
    if section in OWN_MODULES:
        return method is PeftMethod.MODULES
    return not method.definition.is_prompt and method is not PeftMethod.HEAD_ONLY


def _setting_errors(
    method: PeftMethod,
    setting: str,
    settings: LibrarySettings,
    searched: Mapping[str, Parameter],
    *,
    shape: BackboneShape,
    max_length: int,
    pointers: Mapping[str, str],
) -> Iterator[FieldError]:
    name = f"peft.library.{setting}"
    parameter = searched.get(name)
    if parameter is not None and not _active_under(parameter, method):
        parameter = None
    values = (getattr(settings, setting),) if parameter is None else _values(name, searched, default=None)
    pointer = f"/configuration/{name.replace('.', '/')}" if parameter is None else pointers[name]
    for value in values:
        tried = settings.model_copy(update={setting: value})
        problem = setting_problem(method.definition, setting, tried, shape=shape, max_length=max_length)
        if problem is not None:
            # The first value that fails says enough; a range may hold thousands.
            yield FieldError(pointer=pointer, detail=f"'{method}': {problem}")
            return


def _methods(configuration: TrialConfiguration, searched: Mapping[str, Parameter]) -> tuple[PeftMethod, ...]:
    return tuple(PeftMethod(str(value)) for value in _values(METHOD, searched, configuration.peft.method))


def _with_possible_roles(
    settings: LibrarySettings, method: PeftMethod, searched: Mapping[str, Parameter]
) -> LibrarySettings:
    def possible(role: str) -> bool:
        parameter = searched.get(f"peft.library.{role}")
        if parameter is None or not _active_under(parameter, method):
            return bool(getattr(settings, role))
        return True in _values(parameter.name, searched, default=None)

    return settings.model_copy(update={role: possible(role) for role in ROLES})


def _active_under(parameter: Parameter, method: PeftMethod) -> bool:
    when = parameter.when
    return when is None or when.parameter != METHOD or method in when.values


def _values(name: str, searched: Mapping[str, Parameter], default: object) -> Sequence[ParameterValue]:
    parameter = searched.get(name)
    return (default,) if parameter is None else values_of(parameter)  # type: ignore[return-value]
