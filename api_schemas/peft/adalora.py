"""AdaLoRA: takes the least important ranks away while it trains. Zhang and others 2023 (arXiv 2303.10512)."""

from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method, Surroundings


def _can_be_halved(rank: int, _: Surroundings) -> str | None:
    return "AdaLoRA halves its rank while it trains, so it needs at least 2" if rank < 2 else None


METHOD = Method(
    "AdaLoRA",
    reads=("rank", "alpha"),
    projection_parameters=lambda settings, projection: low_rank(settings, projection) + settings.rank,
    limits={"rank": _can_be_halved},
)
