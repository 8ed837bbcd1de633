"""Which layer a parameter's path names, and the lists by layer of a configuration that paths reach into.

Such a list has an entry for each layer. A posted configuration may leave it out; it is written out here.
"""

import re

from api_schemas.architecture import Architecture
from api_schemas.backbones import BackboneShape
from api_schemas.peft.canonical import entries_by_layer
from api_schemas.peft.registry import OWN_MODULES
from api_schemas.search_space import SearchSpace
from api_schemas.trial_configuration import TrialConfiguration

ARCHITECTURE = "architecture."

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
    kept = configuration.architecture
    if searches_architecture(search_space):
        whole = kept or Architecture(keep_layers=shape.layers)
        written["architecture"] = whole.model_copy(update={"ffn_width": whole.ffn_width or shape.ffn_size})
    return configuration.model_copy(update=written)


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
