"""FourierFT: an update with few entries in its Fourier transform. Gao and others 2024 (arXiv 2405.03003)."""

from api_schemas.peft.method import Method, Surroundings


def _within_the_weights(frequencies: int, around: Surroundings) -> str | None:
    for projection in around.projections:
        weights = projection.inputs * projection.outputs
        if frequencies > weights:
            return (
                f"{frequencies} frequencies exceed the {weights} weights of the {projection.role} projection"
            )
    return None


METHOD = Method(
    "FourierFT",
    reads=("frequencies",),
    projection_parameters=lambda settings, _: settings.frequencies,
    limits={"frequencies": _within_the_weights},
)
