"""(IA)³: a trained factor for each output. Liu and others 2022 (arXiv 2205.05638)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.method import Method


def _parameters(_: Any, projection: Projection) -> int:
    # The second map of the feed-forward block has factors for its inputs instead.
    return projection.inputs if projection.role == "ffn_out" else projection.outputs


METHOD = Method("(IA)³", projection_parameters=_parameters)
