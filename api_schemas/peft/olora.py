"""OLoRA: LoRA that starts from a QR factorisation of the weight. Büyükakyüz 2024 (arXiv 2406.01775)."""

from api_schemas.peft.limits import within_both_widths
from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method

METHOD = Method(
    "OLoRA",
    reads=("rank", "alpha"),
    projection_parameters=low_rank,
    limits={"rank": within_both_widths},
    reads_frozen_weights=True,
)
