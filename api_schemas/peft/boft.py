"""BOFT: rotations by a butterfly, and a scale of the outputs. Liu and others 2023 (arXiv 2311.06243)."""

from api_schemas.peft.limits import divides_the_inputs
from api_schemas.peft.method import Method

METHOD = Method(
    "BOFT",
    reads=("block_size",),
    projection_parameters=lambda settings, projection: (
        projection.inputs * settings.block_size + projection.outputs
    ),
    limits={"block_size": divides_the_inputs},
    reads_frozen_weights=True,
)
