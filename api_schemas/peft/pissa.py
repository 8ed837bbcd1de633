"""PiSSA: LoRA that starts from the largest singular triples. Meng and others 2024 (arXiv 2404.02948)."""

from api_schemas.peft.limits import within_both_widths
from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method

METHOD = Method(
    "PiSSA",
    reads=("rank", "alpha"),
    projection_parameters=low_rank,
    limits={"rank": within_both_widths},
    reads_frozen_weights=True,
    # The largest directions want smaller steps than LoRA's new ones (arXiv 2602.04998).
    learning_rate=1e-4,
)
