"""HRA: a chain of Householder reflections of the inputs. Yuan and others 2024 (arXiv 2405.17484)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.method import Method, Surroundings
from api_schemas.peft.own_module import Count


def _parameters(settings: Any, projection: Projection) -> Count:
    return settings.rank * projection.inputs


def _is_even(rank: int, _: Surroundings) -> str | None:
    return f"HRA starts from the backbone only at an even rank, not at {rank}" if rank % 2 else None


METHOD = Method(
    "HRA",
    reads=("rank",),
    projection_parameters=_parameters,
    limits={"rank": _is_even},
    reads_frozen_weights=True,
)
