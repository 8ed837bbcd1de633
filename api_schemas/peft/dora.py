"""DoRA: trained magnitudes, and directions that LoRA changes. Liu and others 2024 (arXiv 2402.09353)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return low_rank(settings, projection) + projection.outputs


METHOD = Method("DoRA", reads=("rank", "alpha"), projection_parameters=_parameters, reads_frozen_weights=True)
