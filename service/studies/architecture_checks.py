"""Whether what a draft keeps of its backbone can be kept, for every value that is searched."""

from collections.abc import Iterator, Sequence
from typing import TypeGuard

from api_schemas.architecture import FFN_WIDTH, KEEP_LAYERS, WIDTH_STEP
from api_schemas.errors import FieldError
from api_schemas.json_values import is_number, written
from api_schemas.model_families import CUT_FAMILIES, FAMILIES
from api_schemas.search_space import IntParameter, ParameterValue, extremes_of, values_of
from service.studies.layers import searches_architecture
from service.studies.study_draft import StudyDraft

SECTION = "/configuration/architecture"


def architecture_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find backbones that cannot be made smaller, and layers and widths that they do not have."""
    if draft.configuration.architecture is None:
        return
    yield from _uncut_errors(draft)
    yield from _depth_errors(draft)
    yield from _width_errors(draft)


def _uncut_errors(draft: StudyDraft) -> Iterator[FieldError]:
    family, configuration = draft.backbone.shape.model_type, draft.configuration
    pointer = "/search_space" if searches_architecture(draft.search_space) else SECTION
    why = FAMILIES[family].uncut if family in FAMILIES else "it is not known how its layers are built"
    if why is not None:
        cut = ", ".join(CUT_FAMILIES)
        yield FieldError(
            pointer=pointer,
            detail=f"no part of a '{family}' can be kept: {why}. Take a backbone of {cut}",
        )
    if configuration.quantisation is not None:
        yield FieldError(
            pointer="/configuration/quantisation",
            detail="weights that are quantised cannot be cut; leave this out, or keep the whole backbone",
        )
    stored = draft.backbone.quantised
    if stored is not None:
        yield FieldError(
            pointer="/configuration/backbone",
            detail=f"the files of '{configuration.backbone}' hold the weights in {stored}, which cannot be "
            "cut; take whole weights, or keep the whole backbone",
        )


def _depth_errors(draft: StudyDraft) -> Iterator[FieldError]:
    pointer, values = _values(draft, KEEP_LAYERS)
    layers = draft.backbone.shape.layers
    odd = next((value for value in values if not _is_whole(value) or not 1 <= value <= layers), None)
    if odd is not None:
        left = "no layer would be left" if odd == 0 else f"{written(odd)} layers cannot be kept"
        yield FieldError(
            pointer=pointer, detail=f"{left}: the backbone has {layers}, so keep a number from 1 to {layers}"
        )


def _width_errors(draft: StudyDraft) -> Iterator[FieldError]:
    pointer, values = _values(draft, FFN_WIDTH)
    whole = draft.backbone.shape.ffn_size
    odd = next((value for value in values if not _is_width(value, whole)), None)
    if odd is not None:
        yield FieldError(
            pointer=pointer,
            detail=f"{written(odd)} is no width of its feed-forward blocks: take a multiple of {WIDTH_STEP} "
            f"that is less than the whole width {whole}, or {whole} itself",
        )


def _is_whole(value: ParameterValue) -> TypeGuard[int | float]:
    return is_number(value) and value == int(value)


def _is_width(value: ParameterValue, whole: int) -> bool:
    return _is_whole(value) and (value == whole or (0 < value < whole and value % WIDTH_STEP == 0))


def _values(draft: StudyDraft, name: str) -> tuple[str, Sequence[ParameterValue]]:
    """Return where a setting is written, and values that can all be kept only if every one can."""
    parameter = draft.search_space.by_name.get(name)
    if parameter is not None:
        # The widths between the ends of a range may be off the grid.
        ranged = isinstance(parameter, IntParameter) and name == KEEP_LAYERS
        return draft.pointers[name], extremes_of(parameter) if ranged else values_of(parameter)
    _, setting = name.split(".")
    kept = getattr(draft.configuration.architecture, setting)
    return f"{SECTION}/{setting}", () if kept is None else (kept,)
