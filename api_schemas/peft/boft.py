"""BOFT: rotations by a butterfly, and a scale of the outputs. Liu and others 2023 (arXiv 2311.06243)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.limits import divides_the_inputs
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return projection.inputs * settings.block_size + projection.outputs


METHOD = Method(
    "BOFT",
    reads=("block_size",),
    projection_parameters=_parameters,
    limits={"block_size": divides_the_inputs},
    reads_frozen_weights=True,
)
