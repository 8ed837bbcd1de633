"""LoHa: the Hadamard product of two low-rank updates. Hyeon-Woo and others 2021 (arXiv 2108.06098)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return 2 * low_rank(settings, projection)


METHOD = Method("LoHa", reads=("rank", "alpha"), projection_parameters=_parameters)
