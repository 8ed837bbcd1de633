"""Whether the PEFT methods of a draft can work on its backbone, for every value that is searched.

A setting may be fixed in the configuration or searched, and so may the method. Each value of each setting is
tried under each method that reads it; projections that a search may switch on count as on. Relies on every
value being legal at its path.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from api_schemas.backbones import ROLES
from api_schemas.derived_settings import DERIVED
from api_schemas.errors import FieldError
from api_schemas.peft.fitness import method_problem, setting_problem
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import OWN_MODULES, SETTINGS, PeftMethod
from api_schemas.search_space import Parameter, ParameterValue, extremes_of, values_of
from service.studies.study_draft import StudyDraft


def compacter_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Yield an error where Compacter's `division` is searched or does not divide the widths."""
    searched = [item for item in draft.search_space.parameters if item.name.startswith("peft.compacter.")]
    if any(item.name == "peft.compacter.division" for item in searched):
        yield FieldError(
            pointer="/search_space", detail="'peft.compacter.division' cannot be searched; fix it"
        )
        return
    compacter, hidden_size = draft.configuration.peft.compacter, draft.backbone.shape.hidden_size
    values = chain(compacter.by_layer or (compacter.bottleneck_size,), *map(values_of, searched))
    sizes = (size for size in map(int, values) if size)
    odd = next(
        (size for size in sizes if size % compacter.division or hidden_size % compacter.division), None
    )
    if odd is not None:
        yield FieldError(
            pointer="/configuration/peft/compacter/division",
            detail=f"{compacter.division} must divide the hidden size {hidden_size} and every bottleneck "
            f"size, {odd} among them",
        )


def unread_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find what is searched or set although no method of the study reads it."""
    methods = draft.methods
    listed = ", ".join(f"'{method}'" for method in methods)
    for name, parameter in draft.search_space.by_name.items():
        under = [method for method in methods if _active_under(parameter, method)]
        if name.startswith("peft.") and not any(_reads(method, name) for method in under):
            detail = f"'{name}' has no effect: no method of this study reads it ({listed})"
            yield FieldError(pointer=draft.pointers[name], detail=detail)
    # A list that is written out for the search is not the client's.
    written_out = {name.split(".")[1] for name in draft.search_space.by_name if ".by_layer." in name}
    for section in sorted({*OWN_MODULES, "library"} - written_out):
        chosen = getattr(draft.configuration.peft, section)
        if chosen != type(chosen)() and not any(_reads(method, f"peft.{section}") for method in methods):
            detail = f"no method of this study reads this section ({listed}); leave it out"
            yield FieldError(pointer=f"/configuration/peft/{section}", detail=detail)


def unfit_method_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find methods that cannot work on the backbone at all."""
    for method in draft.methods:
        problem = method_problem(method.definition, shape=draft.backbone.shape)
        if problem is not None:
            yield FieldError(pointer=_pointer_to_method(draft), detail=problem)


def frozen_weight_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find methods that compute with the weights or train them where these are quantised."""
    configuration, stored = draft.configuration, draft.backbone.quantised
    for method in _fit_methods(draft):
        if not method.definition.needs_whole_weights:
            continue
        does = (
            "trains the weights" if method.definition.trains_weights else "computes with the frozen weights"
        )
        if configuration.quantisation is not None:
            yield FieldError(
                pointer=_pointer_to_method(draft),
                detail=f"'{method}' {does}, so they cannot be quantised; leave 'quantisation' out",
            )
        if stored is not None:
            yield FieldError(
                pointer=_pointer_to_method(draft),
                detail=f"'{method}' {does}, and the files of '{configuration.backbone}' hold them in "
                f"{stored}; take whole weights or another method",
            )


def projection_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find methods that change projections where none is ever switched on."""
    for method in _fit_methods(draft):
        if method.definition.is_targeted and not _settings_with_possible_roles(draft, method).targets:
            yield FieldError(
                pointer="/configuration/peft/library",
                detail=f"'{method}' needs a projection to change: switch one of {', '.join(ROLES)} on",
            )


def setting_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find sizes at which a method cannot work on the backbone; of each, the first value."""
    length = draft.search_space.by_name.get("training.max_length")
    lengths = (draft.configuration.training.max_length,) if length is None else extremes_of(length)
    longest = max(map(int, lengths))
    for method in _fit_methods(draft):
        for setting in method.definition.limits:
            # The first value that fails says enough; a range may hold billions.
            for problem in islice(_problems(method, setting, draft, max_length=longest), 1):
                pointer = _pointer_under(method, setting, draft)
                yield FieldError(pointer=pointer, detail=f"'{method}': {problem}")


def _problems(method: PeftMethod, setting: str, draft: StudyDraft, *, max_length: int) -> Iterator[str]:
    settings = _settings_with_possible_roles(draft, method)
    for shape in draft.shapes:
        for value in _values_under(method, setting, draft):
            tried = settings.model_copy(update={setting: value})
            problem = setting_problem(method.definition, setting, tried, shape=shape, max_length=max_length)
            if problem is not None:
                yield problem


def _fit_methods(draft: StudyDraft) -> list[PeftMethod]:
    shape = draft.backbone.shape
    return [method for method in draft.methods if method_problem(method.definition, shape=shape) is None]


def _pointer_to_method(draft: StudyDraft) -> str:
    return draft.pointers.get(METHOD, "/configuration/peft/method")


def _reads(method: PeftMethod, name: str) -> bool:
    _, section, *rest = (DERIVED[name].sets if name in DERIVED else name).split(".")
    if section == "method":
        return True
    if section == "library":
        return bool(SETTINGS[method]) if not rest else rest[0] in SETTINGS[method]
    if section in OWN_MODULES:
        return method is PeftMethod.MODULES
    return not method.definition.is_prompt and method is not PeftMethod.HEAD_ONLY


def _settings_with_possible_roles(draft: StudyDraft, method: PeftMethod) -> LibrarySettings:
    possible = {role: True in _values_under(method, role, draft) for role in ROLES}
    return draft.configuration.peft.library.model_copy(update=possible)


def _values_under(method: PeftMethod, setting: str, draft: StudyDraft) -> Sequence[ParameterValue]:
    """Return the values that a setting of the library takes under a method."""
    parameter = _searched_under(method, setting, draft)
    if parameter is None:
        return (getattr(draft.configuration.peft.library, setting),)
    return values_of(parameter)


def _pointer_under(method: PeftMethod, setting: str, draft: StudyDraft) -> str:
    parameter = _searched_under(method, setting, draft)
    return f"/configuration/peft/library/{setting}" if parameter is None else draft.pointers[parameter.name]


def _searched_under(method: PeftMethod, setting: str, draft: StudyDraft) -> Parameter | None:
    parameter = draft.search_space.by_name.get(f"peft.library.{setting}")
    return parameter if parameter is not None and _active_under(parameter, method) else None


def _active_under(parameter: Parameter, method: PeftMethod) -> bool:
    when = parameter.when
    return when is None or when.parameter != METHOD or method in when.values
