"""MiSS, or Bone: one matrix for sums of pieces of the input. Kang and Yin 2024 (arXiv 2409.15371)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.method import Method, Surroundings
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return settings.rank * projection.outputs


def _within_the_inputs(rank: int, around: Surroundings) -> str | None:
    for projection in around.projections:
        if rank > projection.inputs:
            role, inputs = projection.role, projection.inputs
            return f"rank {rank} exceeds the input width {inputs} of the {role} projection"
    return None


METHOD = Method(
    "MiSS", reads=("rank",), projection_parameters=_parameters, limits={"rank": _within_the_inputs}
)
