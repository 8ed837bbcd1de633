"""P-tuning: a prompt that a network of three maps makes. Liu and others 2021 (arXiv 2103.10385)."""

from typing import Any

from api_schemas.backbones import BackboneShape
from api_schemas.peft.limits import within_the_positions
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count
from api_schemas.peft.prompt_tuning import embeddings


def _parameters(settings: Any, shape: BackboneShape) -> Count:
    width = shape.embedding_width
    return embeddings(settings, shape) + 3 * (width * width + width)


METHOD = Method(
    "P-tuning",
    reads=("virtual_tokens",),
    shared_parameters=_parameters,
    limits={"virtual_tokens": within_the_positions},
    is_prompt=True,
)
