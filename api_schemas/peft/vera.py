"""VeRA: two trained vectors around random, shared factors. Kopiczko and others 2023 (arXiv 2310.11454)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return projection.outputs + settings.rank


METHOD = Method("VeRA", reads=("rank",), projection_parameters=_parameters)
