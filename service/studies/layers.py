"""What a configuration and a search space say about single layers, checked against the backbone's depth.

A list with an entry for each layer may be left out of a posted configuration; it is written out
here wherever a parameter reaches into it.
"""

import re
from collections.abc import Iterator

from api_schemas.backbones import BackboneShape
from api_schemas.errors import FieldError
from api_schemas.peft.canonical import entries_by_layer
from api_schemas.peft.registry import OWN_MODULES, Peft
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    SearchSpace,
)
from api_schemas.trial_configuration import TrialConfiguration

BY_LAYER = re.compile(r"^peft\.(?:active_layers|(\w+)\.by_layer)\.(\d+)(?:\.|$)")


def layer_of(name: str) -> int | None:
    """Return the layer that a parameter's path names, or None if it names none."""
    found = BY_LAYER.match(name)
    return int(found[2]) if found else None


def with_layers(
    configuration: TrialConfiguration, shape: BackboneShape, *, search_space: SearchSpace
) -> TrialConfiguration:
    """Write out `active_layers`, and each list by layer that a parameter reaches into."""
    peft = configuration.peft
    updates: dict[str, object] = {}
    if peft.active_layers is None:
        updates["active_layers"] = (True,) * shape.layers
    for name in _searched_by_layer(search_space):
        module = getattr(peft, name)
        if module.by_layer is None:
            entries = entries_by_layer(module, shape.layers)
            updates[name] = module.model_copy(update={"by_layer": entries})
    return configuration.model_copy(update={"peft": peft.model_copy(update=updates)})


def layer_errors(
    configuration: TrialConfiguration, shape: BackboneShape, *, search_space: SearchSpace
) -> Iterator[FieldError]:
    """Find lists of the wrong length, a first layer that does not exist, and sizes that a list overrides."""
    peft = configuration.peft
    lists = {"active_layers": peft.active_layers} | {
        f"{name}/by_layer": module.by_layer for name, module in peft.own_modules().items()
    }
    for path, entries in lists.items():
        if entries is not None and len(entries) != shape.layers:
            yield FieldError(
                pointer=f"/configuration/peft/{path}",
                detail=f"the backbone has {shape.layers} layers, not {len(entries)}; leave it out for all",
            )
    if peft.first_active_layer >= shape.layers:
        yield FieldError(
            pointer="/configuration/peft/first_active_layer",
            detail=f"the backbone has layers 0 to {shape.layers - 1}",
        )
    yield from _overridden(peft, search_space)
    yield from _compacter_errors(configuration, shape, search_space=search_space)


def _overridden(peft: Peft, search_space: SearchSpace) -> Iterator[FieldError]:
    for name, module in peft.own_modules().items():
        paths = {f"peft.{name}.{field}" for field in module.size_fields}
        searched = [parameter.name for parameter in search_space.parameters if parameter.name in paths]
        if searched and module.by_layer is not None:
            yield FieldError(
                pointer="/search_space",
                detail=f"'{searched[0]}' has no effect: 'peft.{name}.by_layer' gives the sizes",
            )


def _compacter_errors(
    configuration: TrialConfiguration, shape: BackboneShape, *, search_space: SearchSpace
) -> Iterator[FieldError]:
    own = [item for item in search_space.parameters if item.name.startswith("peft.compacter.")]
    if not all(str(value).isdecimal() for item in own for value in getattr(item, "choices", ())):
        return  # no size at all, which is said elsewhere
    if any(item.name == "peft.compacter.division" for item in own):
        yield FieldError(
            pointer="/search_space", detail="'peft.compacter.division' cannot be searched; fix it"
        )
        return
    chosen = configuration.peft.compacter
    sizes = set(chosen.by_layer or (chosen.bottleneck_size,)).union(*map(_values, own)) - {0}
    odd = sorted(size for size in sizes if size % chosen.division or shape.hidden_size % chosen.division)
    if odd:
        yield FieldError(
            pointer="/configuration/peft/compacter/division",
            detail=f"{chosen.division} must divide the hidden size {shape.hidden_size} and every bottleneck "
            f"size, {odd[0]} among them",
        )


def _searched_by_layer(search_space: SearchSpace) -> set[str]:
    found = (BY_LAYER.match(parameter.name) for parameter in search_space.parameters)
    return {match[1] for match in found if match and match[1] in OWN_MODULES}


def _values(parameter: Parameter) -> set[int]:
    if isinstance(parameter, IntParameter):
        return set(range(parameter.low, parameter.high + 1))
    if isinstance(parameter, BoolParameter):
        return {0, 1}
    choices = parameter.choices if isinstance(parameter, OrdinalParameter | CategoricalParameter) else ()
    return {int(choice) for choice in choices}
