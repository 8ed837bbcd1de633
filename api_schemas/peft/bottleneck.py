"""What the two adapters count alike: a bottleneck of two projections with their biases."""

from api_schemas.backbones import BackboneShape
from api_schemas.peft.own_module import Count


def bottleneck_parameters(size: Count, *, shape: BackboneShape) -> Count:
    """Return the scalars of a bottleneck; 0 at size 0."""
    hidden = shape.hidden_size
    return (size > 0) * (2 * hidden * size + size + hidden)


def bottleneck_flops(size: Count, *, shape: BackboneShape) -> Count:
    """Return the operations for each token: down and up."""
    return 4 * shape.hidden_size * size
