"""DoRA: trained magnitudes, and directions that LoRA changes. Liu and others 2024 (arXiv 2402.09353)."""

from api_schemas.peft.lora import low_rank
from api_schemas.peft.method import Method

METHOD = Method(
    "DoRA",
    reads=("rank", "alpha"),
    projection_parameters=lambda settings, projection: low_rank(settings, projection) + projection.outputs,
    reads_frozen_weights=True,
)
