"""rsLoRA: LoRA scaled by alpha / sqrt(rank). Kalajdzievski 2023 (arXiv 2312.03732)."""

from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method

METHOD = Method(
    "rsLoRA",
    reads=("rank", "alpha"),
    projection_parameters=low_rank,
    # Half of LoRA's: at alpha 16 its updates are scaled by 16 / sqrt(rank), which is 2 only from rank 64 on.
    learning_rate=2e-4,
)
