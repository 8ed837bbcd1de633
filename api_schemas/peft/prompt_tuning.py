"""Prompt tuning: trained embeddings in front of the text. Lester and others 2021 (arXiv 2104.08691)."""

from typing import Any

from api_schemas.backbones import BackboneShape
from api_schemas.peft.limits import within_the_positions
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def embeddings(settings: Any, shape: BackboneShape) -> Count:
    """Return the scalars of the embeddings of the virtual tokens."""
    return settings.virtual_tokens * shape.embedding_width


METHOD = Method(
    "prompt tuning",
    reads=("virtual_tokens",),
    shared_parameters=embeddings,
    limits={"virtual_tokens": within_the_positions},
    is_prompt=True,
)
