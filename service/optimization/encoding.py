"""Parameterizations as rows of the unit cube.

A number takes one column, on its logarithm if the parameter says so; an ordinal of K choices sits
at i / (K - 1); a switch at 0 or 1; a categorical takes one column for each choice. The columns of an
inactive parameter are 0, which is unambiguous because its parent stands before it.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.grid import Grid


def encode(space: SearchSpace, parameterizations: Sequence[Parameterization]) -> Float64[Tensor, "n d"]:
    """Return one row for each canonical parameterization."""
    grid = Grid(space)
    return torch.from_numpy(grid.encode(grid.codes(parameterizations)))
