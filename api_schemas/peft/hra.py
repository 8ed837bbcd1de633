"""HRA: a chain of Householder reflections of the inputs. Yuan and others 2024 (arXiv 2405.17484)."""

from api_schemas.peft.method import Method, Surroundings


def _is_even(rank: int, _: Surroundings) -> str | None:
    return f"HRA starts from the backbone only at an even rank, not at {rank}" if rank % 2 else None


METHOD = Method(
    "HRA",
    reads=("rank",),
    projection_parameters=lambda settings, projection: settings.rank * projection.inputs,
    limits={"rank": _is_even},
    reads_frozen_weights=True,
)
