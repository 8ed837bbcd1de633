"""VB-LoRA: LoRA of mixtures of shared vectors. Li and others 2024 (arXiv 2405.15179)."""

from typing import Any

from api_schemas.backbones import BackboneShape, Projection
from api_schemas.peft.limits import divides_both_widths
from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import LibrarySettings, Method
from api_schemas.peft.own_module import Count

BANK_VECTORS = 90
"""Vectors in the bank that all layers share, as in the paper."""


def _parameters(settings: Any, projection: Projection) -> Count:
    return low_rank(settings, projection) // settings.block_size * BANK_VECTORS


def _bank(settings: Any, _: BackboneShape) -> Count:
    return BANK_VECTORS * settings.block_size


def _size_words(settings: LibrarySettings) -> str:
    return f" {settings.rank} with vectors of {settings.block_size}"


METHOD = Method(
    "VB-LoRA",
    reads=("rank", "block_size"),
    projection_parameters=_parameters,
    shared_parameters=_bank,
    limits={"block_size": divides_both_widths},
    in_preset=False,  # its logits outnumber a small backbone's weights
    size_words=_size_words,
)
