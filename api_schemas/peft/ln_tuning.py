"""The norms of the active layers. Zhao and others 2023 (arXiv 2312.11420)."""

from api_schemas.backbones import BackboneShape
from api_schemas.model_families import FAMILIES
from api_schemas.peft.method import Method


def _parameters(shape: BackboneShape) -> int:
    norm_vectors = FAMILIES[shape.model_type].norm_vectors
    assert norm_vectors is not None  # noqa: S101  or the method is unfit
    return norm_vectors * shape.hidden_size


def _unfit(shape: BackboneShape) -> str | None:
    family = FAMILIES.get(shape.model_type)
    if family is not None and family.norm_vectors is not None:
        return None
    return f"the norms of '{shape.model_type}' are not known"


METHOD = Method("norms", layer_parameters=_parameters, unfit=_unfit)
