"""BitFit: every bias of the active layers. Ben Zaken and others 2022 (arXiv 2106.10199)."""

from api_schemas.backbones import BackboneShape, projections
from api_schemas.model_families import FAMILIES
from api_schemas.peft.method import Method


def _parameters(shape: BackboneShape) -> int:
    family, found = FAMILIES[shape.model_type], projections(shape)
    return sum(found[role].outputs for role in family.biased) + family.norm_biases * shape.hidden_size


def _unfit(shape: BackboneShape) -> str | None:
    family = FAMILIES.get(shape.model_type)
    if family is not None and (family.biased or family.norm_biases):
        return None
    return f"BitFit trains biases, and none are known in the layers of '{shape.model_type}'"


METHOD = Method(
    "BitFit",
    layer_parameters=_parameters,
    unfit=_unfit,
    learning_rate=1e-3,  # the authors search 1e-4 to 1e-3
)
