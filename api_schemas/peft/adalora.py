"""AdaLoRA: takes the least important ranks away while it trains. Zhang and others 2023 (arXiv 2303.10512)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method, Surroundings
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return low_rank(settings, projection) + settings.rank


def _can_be_halved(rank: int, _: Surroundings) -> str | None:
    return "AdaLoRA halves its rank while it trains, so it needs at least 2" if rank < 2 else None


METHOD = Method(
    "AdaLoRA",
    reads=("rank", "alpha"),
    projection_parameters=_parameters,
    limits={"rank": _can_be_halved},
)
