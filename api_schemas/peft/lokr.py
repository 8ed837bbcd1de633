"""LoKr: a Kronecker product, the second factor of low rank. Yeh and others 2023 (arXiv 2309.14859)."""

from typing import Any

from api_schemas.backbones import Projection
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import Count


def near_square(width: int) -> tuple[int, int]:
    """Return the two factors of a width nearest to its square root, the smaller one first."""
    smaller = next(factor for factor in range(int(width**0.5), 0, -1) if width % factor == 0)
    return smaller, width // smaller


def _parameters(settings: Any, projection: Projection) -> Count:
    # W = kron(w1, w2): w1 of (a, c), w2 of (b, d) or of two factors, with a b = outputs, c d = inputs.
    (a, b), (c, d) = near_square(projection.outputs), near_square(projection.inputs)
    factored = settings.rank < max(b, d) / 2
    return a * c + factored * settings.rank * (b + d) + (1 - factored) * b * d


METHOD = Method("LoKr", reads=("rank", "alpha"), projection_parameters=_parameters)
