"""RandLoRA: scaled sums of random, frozen, shared bases. Albert and others 2025 (arXiv 2502.00987)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.limits import within_both_widths
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    smaller = min(projection.inputs, projection.outputs)
    bases = -(-smaller // settings.rank)
    return bases * (settings.rank + smaller)


METHOD = Method(
    "RandLoRA",
    reads=("rank", "alpha"),
    projection_parameters=_parameters,
    limits={"rank": within_both_widths},
)
