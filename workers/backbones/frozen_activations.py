"""What frozen layers computed for the rows of a split, kept without padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class FrozenActivations:
    """Inputs of one layer for the rows of a split, without padding.

    `layer` equal to the number of layers means the pooled output, one token a row.
    """

    layer: int
    hidden: Float[Tensor, "tokens h"]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    def padded(self, positions: Sequence[int]) -> Float[Tensor, "n t h"]:
        """Return rows padded on the right with values that the mask hides."""
        longest = max(self.lengths[position] for position in positions)
        index = torch.zeros(len(positions), longest, dtype=torch.long)
        for row, position in enumerate(positions):
            length = self.lengths[position]
            index[row, :length] = torch.arange(self.starts[position], self.starts[position] + length)
        return self.hidden[index.to(self.hidden.device)]
