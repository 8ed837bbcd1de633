"""Which descriptions of PEFT modules mean the same modules."""

from collections.abc import Sequence
from typing import Any

from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.own_module import OwnModule
from api_schemas.peft.registry import SETTINGS, Peft, PeftMethod


def canonical_peft(peft: Peft, *, layers: int | None = None) -> Peft:
    """Return every set of descriptions of the same modules one representative.

    A layer without modules is not active; a module that is nowhere keeps no settings; sizes that
    are the same in every active layer are one size; settings that the method does not read take
    their defaults. Where a trial keeps the first `layers` only, lists go on to be as long as they were:
    what lies beyond is off.
    """
    if layers is not None:
        return _padded(canonical_peft(on_first_layers(peft, layers)), _layer_count(peft))
    if peft.method is not PeftMethod.MODULES:
        return _canonical_library(peft)
    modules = peft.own_modules()
    count = _layer_count(peft)
    if count is None:
        present = {name: module for name, module in modules.items() if module.size_at(0)}
        return (
            Peft(first_active_layer=peft.first_active_layer, **present) if present else Peft(active_layers=())
        )
    allowed = [peft.is_active(layer) for layer in range(count)]
    presence = {name: _presence(module, allowed) for name, module in modules.items()}
    active = tuple(map(any, zip(*presence.values(), strict=True)))
    return Peft(
        active_layers=active,
        **{name: _canonical_module(modules[name], active) for name in modules if any(presence[name])},
    )


def entries_by_layer(module: OwnModule, layers: int) -> tuple[Any, ...]:
    """Return the size that holds for every layer as a list with an entry for each layer."""
    return tuple(module.entry_at(layer) for layer in range(layers))


def on_first_layers(peft: Peft, layers: int) -> Peft:
    """Return modules with what lists say of the first layers alone."""
    update: dict[str, object] = {
        name: module.model_copy(update={"by_layer": module.by_layer[:layers]})
        for name, module in peft.own_modules().items()
        if module.by_layer is not None
    }
    if peft.active_layers is not None:
        update["active_layers"] = peft.active_layers[:layers]
    return peft.model_copy(update=update)


def _padded(peft: Peft, count: int | None) -> Peft:
    """Return modules with lists of `count` entries: those that are added are off."""
    active = peft.active_layers
    if count is None or active is None:
        return peft
    more = count - len(active)
    update: dict[str, object] = {"active_layers": (*active, *(False,) * more)}
    for name, module in peft.own_modules().items():
        if module.by_layer is not None:
            off = type(module.by_layer[0])()
            update[name] = module.model_copy(update={"by_layer": (*module.by_layer, *(off,) * more)})
    return peft.model_copy(update=update)


def _canonical_library(peft: Peft) -> Peft:
    layers = peft.active_layers
    active = None if layers is None else tuple(peft.is_active(layer) for layer in range(len(layers)))
    method = peft.method.definition
    # Only what is read: everything else takes its default.
    settings = LibrarySettings(**{name: getattr(peft.library, name) for name in SETTINGS[peft.method]})
    if method.is_prompt:
        everywhere = None if layers is None else (True,) * len(layers)
        return Peft(method=peft.method, active_layers=everywhere, library=settings)
    aimless = method.is_targeted and not settings.targets
    nowhere = active is not None and not any(active)
    if peft.method is PeftMethod.HEAD_ONLY or aimless or nowhere:
        return Peft(active_layers=() if active is None else (False,) * len(active))
    if method.trains_weights and active is not None:
        lowest = active.index(True)
        active = tuple(layer >= lowest for layer in range(len(active)))
    first = peft.first_active_layer if active is None else 0
    return Peft(method=peft.method, active_layers=active, first_active_layer=first, library=settings)


def _layer_count(peft: Peft) -> int | None:
    lists = [peft.active_layers, *(module.by_layer for module in peft.own_modules().values())]
    return next((len(found) for found in lists if found is not None), None)


def _presence(module: OwnModule, allowed: Sequence[bool]) -> list[bool]:
    if module.by_layer is None:
        # One size for all layers is asked for once: this runs for every candidate of the optimiser.
        everywhere = module.size_at(0) > 0
        return [everywhere and on for on in allowed]
    return [on and module.size_at(layer) > 0 for layer, on in enumerate(allowed)]


def _canonical_module(module: OwnModule, active: Sequence[bool]) -> OwnModule:
    if module.by_layer is None:
        return module
    entries = entries_by_layer(module, len(active))
    found = [entry for entry, on in zip(entries, active, strict=True) if on]
    if all(entry == found[0] for entry in found) and (one_size := module.one_size(found[0])):
        return module.model_copy(update={"by_layer": None, **one_size})
    # What the list overrides goes back to where it starts.
    defaults = {field: type(module).model_fields[field].default for field in module.size_fields}
    off = type(found[0])()
    by_layer = tuple(entry if on else off for entry, on in zip(entries, active, strict=True))
    return module.model_copy(update={**defaults, "by_layer": by_layer})
