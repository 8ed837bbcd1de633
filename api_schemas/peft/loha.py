"""LoHa: the Hadamard product of two low-rank updates. Hyeon-Woo and others 2021 (arXiv 2108.06098)."""

from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method

METHOD = Method(
    "LoHa",
    reads=("rank", "alpha"),
    projection_parameters=lambda settings, projection: 2 * low_rank(settings, projection),
)
