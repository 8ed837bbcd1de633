"""DoRA: trained magnitudes, and directions that LoRA changes. Liu and others 2024 (arXiv 2402.09353)."""

from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method

METHOD = Method(
    "DoRA",
    reads=("rank", "alpha"),
    projection_parameters=lambda settings, projection: low_rank(settings, projection) + projection.outputs,
    reads_frozen_weights=True,
    # The authors train LLaMA-7B at 2e-4 where LoRA has 3e-4.
    learning_rate=3e-4,
)
