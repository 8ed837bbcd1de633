"""Whether what a draft keeps of its backbone can be kept, for every value that is searched."""

from collections.abc import Iterator, Sequence
from typing import TypeGuard

from api_schemas.architecture import FFN_WIDTH, FFN_WIDTH_GROUPS, HEADS, KEEP_LAYERS, WIDTH_STEP
from api_schemas.errors import FieldError
from api_schemas.json_values import is_number, written
from api_schemas.model_families import CUT_FAMILIES, FAMILIES, HEAD_FAMILIES
from api_schemas.peft.registry import PeftMethod
from api_schemas.search_space import IntParameter, ParameterValue, extremes_of, values_of
from service.studies.layers import searches_architecture
from service.studies.study_draft import StudyDraft

SECTION = "/configuration/architecture"


GROUPED_METHODS = (PeftMethod.FULL, PeftMethod.HEAD_ONLY, PeftMethod.MODULES, PeftMethod.LORA)
"""Those that are tested on layers of several widths."""


def architecture_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find backbones that cannot be made smaller, and layers, heads and widths that they do not have."""
    if draft.configuration.architecture is None:
        return
    yield from _uncut_errors(draft)
    yield from _quantised_errors(draft)
    yield from _depth_errors(draft)
    yield from _width_errors(draft)
    yield from _group_errors(draft)
    yield from _head_errors(draft)


def _uncut_errors(draft: StudyDraft) -> Iterator[FieldError]:
    family, layers = draft.backbone.shape.model_type, draft.backbone.shape.layers
    _, kept = _values(draft, KEEP_LAYERS)
    pointer = "/search_space" if searches_architecture(draft.search_space) else SECTION
    why = FAMILIES[family].uncut if family in FAMILIES else "it is not known how its layers are built"
    if why is not None and any(value != layers for value in kept):
        cut = ", ".join(CUT_FAMILIES)
        yield FieldError(
            pointer=pointer,
            detail=f"no layer of a '{family}' can be left out: {why}. Take a backbone of {cut}",
        )


def _quantised_errors(draft: StudyDraft) -> Iterator[FieldError]:
    configuration = draft.configuration
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
    whole = draft.backbone.shape.ffn_size
    groups = draft.configuration.architecture and draft.configuration.architecture.ffn_width_groups
    names = [f"{FFN_WIDTH_GROUPS}.{group}" for group in range(len(groups or ()))] or [FFN_WIDTH]
    for name in names:
        pointer, values = _values(draft, name)
        odd = next((value for value in values if not _is_width(value, whole)), None)
        if odd is not None:
            yield FieldError(
                pointer=pointer,
                detail=f"{written(odd)} is no width of its feed-forward blocks: take a multiple of "
                f"{WIDTH_STEP} that is less than the whole width {whole}, or {whole} itself",
            )


def _group_errors(draft: StudyDraft) -> Iterator[FieldError]:
    kept = draft.configuration.architecture
    if kept is None or kept.ffn_width_groups is None:
        return
    other = next((method for method in draft.methods if method not in GROUPED_METHODS), None)
    if other is not None:
        yield FieldError(
            pointer=draft.pointers.get("peft.method", "/configuration/peft/method"),
            detail=f"'{other}' is not known to work on layers of several widths: take "
            f"{', '.join(GROUPED_METHODS)}, or one 'ffn_width' for all layers",
        )


def _head_errors(draft: StudyDraft) -> Iterator[FieldError]:
    pointer, values = _values(draft, HEADS)
    if HEADS not in draft.search_space.by_name and not values:
        return
    shape = draft.backbone.shape
    heads, key_value_heads = shape.heads, shape.key_value_heads
    if heads is None or key_value_heads is None:
        yield FieldError(pointer=pointer, detail=_why_heads_stay(shape.model_type))
        return
    step = key_value_heads if key_value_heads < heads else 1
    odd = next(
        (value for value in values if not _is_whole(value) or not 1 <= value <= heads or value % step), None
    )
    if odd is not None:
        grouped = "" if step == 1 else f", a multiple of the {step} that keys and values have"
        yield FieldError(
            pointer=pointer,
            detail=f"{written(odd)} attention heads cannot be kept: the backbone has {heads}, so keep a "
            f"number from 1 to {heads}{grouped}",
        )


def _why_heads_stay(family: str) -> str:
    if family in HEAD_FAMILIES:
        return (
            "attention heads cannot be left out: the config.json of this backbone does not say how many "
            "weights go with one"
        )
    return (
        f"attention heads of a '{family}' cannot be left out: its config.json gives a head the hidden size "
        f"divided by their number, so no plain configuration describes fewer. Take a backbone of "
        f"{', '.join(HEAD_FAMILIES)}, or '{FFN_WIDTH}' or '{KEEP_LAYERS}'"
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
    _, setting, *group = name.split(".")
    kept = getattr(draft.configuration.architecture, setting)
    if group and kept is not None:
        return f"{SECTION}/{setting}/{group[0]}", (kept[int(group[0])],)
    return f"{SECTION}/{setting}", () if kept is None else (kept,)
