"""Full and partial fine-tuning: every weight of the backbone from a layer on.

From layer 0 on that is the whole network, embeddings and what the layers share among them. A pooler is left
out, for nothing here reads it.
"""

from collections.abc import Sequence

from api_schemas.backbones import BackboneShape
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def _parameters(active: Sequence[Count], kept: Sequence[Count], shape: BackboneShape) -> Count:
    weights = shape.weights
    assert weights is not None  # noqa: S101  or the method is unfit
    layers: Count = 0
    reached: Count = 0
    for on, there in zip(active, kept, strict=True):
        reached = reached + on - reached * on
        layers = layers + reached * there
    return active[0] * weights.below + layers * weights.each_layer + reached * weights.above


def _unfit(shape: BackboneShape) -> str | None:
    if shape.weights is not None:
        return None
    return "the config.json of this backbone does not say how many weights it has, so their cost is not known"


METHOD = Method(
    "full fine-tuning",
    weight_parameters=_parameters,
    unfit=_unfit,
    adds_no_operations=True,
    in_preset=False,  # the preset `methods` compares methods that leave the backbone as it is
    # RoBERTa's authors search 1e-5 to 3e-5 on GLUE, BERT's 2e-5 to 5e-5 (arXiv 1907.11692, 1810.04805).
    learning_rate=3e-5,
)
