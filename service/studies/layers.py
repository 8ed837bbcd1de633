"""Which layer a parameter's path names, and the lists by layer of a configuration that paths reach into.

Such a list has an entry for each layer. A posted configuration may leave it out; it is written out here.
"""

import re

from api_schemas.architecture import FFN_WIDTH_GROUPS, HEADS, Architecture
from api_schemas.backbones import BackboneShape
from api_schemas.peft.canonical import entries_by_layer
from api_schemas.peft.registry import OWN_MODULES
from api_schemas.search_space import SearchSpace
from api_schemas.trial_configuration import TrialConfiguration

ARCHITECTURE = "architecture."
FEWEST_GROUPS = 2

BY_LAYER = re.compile(r"^peft\.(?:active_layers|(\w+)\.by_layer)\.(\d+)(?:\.|$)")


def layer_of(name: str) -> int | None:
    """Return the layer that a parameter's path names, or None if it names none."""
    match = BY_LAYER.match(name)
    return int(match[2]) if match else None


def searches_architecture(search_space: SearchSpace) -> bool:
    """Return whether a parameter says which part of the backbone stays."""
    return any(name.startswith(ARCHITECTURE) for name in search_space.by_name)


def with_layers(
    configuration: TrialConfiguration, shape: BackboneShape, *, search_space: SearchSpace
) -> TrialConfiguration:
    """Return a configuration with `active_layers` and each list by layer that a parameter reaches into.

    So with its architecture: where it has none and one is searched, everything stays.
    """
    peft = configuration.peft
    updates: dict[str, object] = {}
    if peft.active_layers is None:
        updates["active_layers"] = (True,) * shape.layers
    matches = map(BY_LAYER.match, search_space.by_name)
    for name in {match[1] for match in matches if match and match[1] in OWN_MODULES}:
        module = getattr(peft, name)
        if module.by_layer is None:
            entries = entries_by_layer(module, shape.layers)
            updates[name] = module.model_copy(update={"by_layer": entries})
    written: dict[str, object] = {"peft": peft.model_copy(update=updates)}
    if searches_architecture(search_space):
        written["architecture"] = _sizes_written_out(configuration.architecture, shape, search_space)
    return configuration.model_copy(update=written)


def width_groups(search_space: SearchSpace) -> tuple[str, ...]:
    """Return the names of the parameters that are the width of a group of layers."""
    return tuple(name for name in search_space.by_name if name.startswith(f"{FFN_WIDTH_GROUPS}."))


def _sizes_written_out(
    kept: Architecture | None, shape: BackboneShape, search_space: SearchSpace
) -> Architecture:
    whole = kept or Architecture(keep_layers=shape.layers)
    update: dict[str, object] = {}
    numbers = [int(last) for name in width_groups(search_space) if (last := name.split(".")[2]).isdecimal()]
    if numbers and whole.ffn_width_groups is None:
        count = max(FEWEST_GROUPS, *(number + 1 for number in numbers))
        update = {"ffn_width_groups": (whole.ffn_width or shape.ffn_size,) * count, "ffn_width": None}
    elif whole.ffn_width_groups is None:
        update["ffn_width"] = whole.ffn_width or shape.ffn_size
    if HEADS in search_space.by_name:
        update["heads"] = whole.heads or shape.heads
    return whole.model_copy(update=update)


def setting_at(node: object, path: str) -> object:
    """Return what stands at a dotted path of a configuration as JSON, None if nothing does."""
    for part in path.split("."):
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node
