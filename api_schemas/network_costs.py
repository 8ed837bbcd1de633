"""What the network costs that a trial ends in: exact, from what is kept of the backbone and put beside it.

What can be merged into the weights is merged, and costs nothing then. Counts serve one configuration and a
table of them alike, as those of what is trained do. A backbone whose file does not say how many weights it
has has no such costs.
"""

from collections.abc import Callable
from types import SimpleNamespace

from api_schemas.backbones import BackboneShape, WeightCounts, projections
from api_schemas.model_families import FAMILIES
from api_schemas.peft.counts import Configurations, active_layers, over_layers, own_modules
from api_schemas.peft.own_module import Count, OwnModule
from api_schemas.peft.registry import PeftMethod


def network_problem(shape: BackboneShape) -> str | None:
    """Return why the costs of a network on this backbone are not known, None if they are."""
    if shape.weights is None or shape.weights.each_ffn_unit is None:
        return "the config.json of this backbone does not say how many weights it has"
    family = FAMILIES.get(shape.model_type)
    if family is None or any(layer.relative_bias for layer in family.layer):
        return f"the attention of '{shape.model_type}' has operations of its own, which are not counted"
    return None


def model_parameters(counted: Configurations, *, shape: BackboneShape, classes: int) -> Count:
    """Return the scalars of the backbone that is kept, of the head, and of what cannot be merged."""
    weights = _weights(shape)
    kept = weights.below + sum(counted.kept(shape)) * weights.each_layer + weights.above
    head = shape.hidden_size * classes + classes
    beside = _beside(counted, shape, count=lambda module: module.parameters)
    active, modules = active_layers(counted, shape), counted.methods.get(PeftMethod.MODULES, 0)
    for module, read in own_modules(counted):
        if not module.merges:
            beside = beside + modules * module.shared_parameters(active, read)
    for method, chosen in counted.methods.items():
        shared = method.definition.shared_parameters
        if method.definition.is_prompt and shared is not None:
            settings = {name: counted.read(f"library.{name}") for name in method.definition.reads}
            beside = beside + chosen * shared(SimpleNamespace(**settings), shape)
    return kept + head + beside


def flops(counted: Configurations, *, shape: BackboneShape, max_length: Count) -> Count:
    """Return the operations of the layers for each token of a text of `max_length` tokens.

    Two for a multiplication with its addition, in the projections and in the two products of attention:
    Hoffmann and others 2022 (arXiv 2203.15556, appendix F) without softmax, embeddings and head.
    """
    weights = _weights(shape)
    matrices = sum(found.inputs * found.outputs for found in projections(shape).values())
    if (weights.each_ffn_unit or 0) >= 3 * shape.hidden_size:  # a gate beside the first map
        matrices += shape.hidden_size * shape.ffn_size
    a_layer = 2 * (matrices + 2 * max_length * shape.query_size)
    return sum(counted.kept(shape)) * a_layer + _beside(counted, shape, count=lambda module: module.flops)


def _weights(shape: BackboneShape) -> WeightCounts:
    assert shape.weights is not None  # noqa: S101  or `network_problem` says so
    return shape.weights


def _beside(
    counted: Configurations, shape: BackboneShape, *, count: Callable[[OwnModule], Callable[..., Count]]
) -> Count:
    """Return what modules of our own add in the active layers, for good."""
    active = active_layers(counted, shape)
    added = sum(
        over_layers(module, count(module), read, active, shape=shape)
        for module, read in own_modules(counted)
        if not module.merges
    )
    return counted.methods.get(PeftMethod.MODULES, 0) * added
