"""VeRA: two trained vectors around random, shared factors. Kopiczko and others 2023 (arXiv 2310.11454)."""

from api_schemas.peft.method import Method

METHOD = Method(
    "VeRA",
    reads=("rank",),
    projection_parameters=lambda settings, projection: projection.outputs + settings.rank,
)
