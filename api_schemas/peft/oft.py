"""OFT: block-diagonal rotations of the inputs. Qiu and others 2023 (arXiv 2306.07280)."""

from api_schemas.peft.limits import divides_the_inputs
from api_schemas.peft.method import Method

METHOD = Method(
    "OFT",
    reads=("block_size",),
    projection_parameters=lambda settings, projection: projection.inputs * (settings.block_size - 1) // 2,
    limits={"block_size": divides_the_inputs},
)
