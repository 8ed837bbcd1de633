"""The bottleneck that both adapters share: up(relu(down(x)))."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """Two projections with a ReLU between. Weights are float32; the arithmetic follows the input."""

    def __init__(self, hidden_size: int, size: int, *, generator: Generator) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, size)
        self.up = nn.Linear(size, hidden_size)
        with torch.no_grad():
            nn.init.kaiming_uniform_(self.down.weight, nonlinearity="relu", generator=generator)
            for start_at_zero in (self.down.bias, self.up.weight, self.up.bias):
                start_at_zero.zero_()

    def forward(self, x: Float[Tensor, "n t h"]) -> Float[Tensor, "n t h"]:
        """Project down, cut below zero, project up."""
        inner = functional.relu(linear_as(x, self.down))
        return linear_as(inner, self.up)


def linear_as(x: Float[Tensor, "... i"], linear: nn.Linear) -> Float[Tensor, "... o"]:
    """Apply float32 weights in the precision of the input."""
    return functional.linear(x, linear.weight.to(x.dtype), linear.bias.to(x.dtype))
