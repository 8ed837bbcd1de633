"""MiSS, or Bone: one matrix for sums of pieces of the input. Kang and Yin 2024 (arXiv 2409.15371)."""

from api_schemas.peft.method import Method, Surroundings


def _within_the_inputs(rank: int, around: Surroundings) -> str | None:
    for projection in around.projections:
        if rank > projection.inputs:
            role, inputs = projection.role, projection.inputs
            return f"rank {rank} exceeds the input width {inputs} of the {role} projection"
    return None


METHOD = Method(
    "MiSS",
    reads=("rank",),
    projection_parameters=lambda settings, projection: settings.rank * projection.outputs,
    limits={"rank": _within_the_inputs},
)
