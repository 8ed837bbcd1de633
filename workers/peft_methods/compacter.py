"""Compacter: a serial bottleneck whose projections are sums of Kronecker products.

W = sum over i of A_i (x) (s_i t_i), the A_i (division x division) shared by every projection of
every layer, s_i a column and t_i a row: Karimi Mahabadi and others 2021 (arXiv 2106.04647), equations
2 to 4, at rank one. It stands where the serial adapter stands. The row of `up` starts at zero, so
training starts from the backbone as it is.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from workers.errors import UnsupportedBackbone
from workers.peft_methods.place import Place
from workers.peft_methods.serial_adapter import attach as attach

INITIAL_DEVIATION = 0.01
"""Of the shared A_i, as in the paper's code; the columns and rows are Glorot-uniform."""


class SharedRule(nn.Module):
    """The A_i, one set for the whole trial."""

    def __init__(self, division: int, *, generator: Generator) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.empty(division, division, division))
        with torch.no_grad():
            self.A.normal_(0.0, INITIAL_DEVIATION, generator=generator)
            # A rule near zero would leave the first steps without a gradient for rows and columns.
            self.A.add_(torch.eye(division))


class Kronecker(nn.Module):
    """One projection: the columns and rows of its rank-one factors, and a bias."""

    def __init__(self, inputs: int, outputs: int, *, division: int) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.zeros(division, inputs // division, 1))
        self.t = nn.Parameter(torch.zeros(division, 1, outputs // division))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "... i"], A: Float[Tensor, "d d d"]) -> Float[Tensor, "... o"]:
        """Multiply by the sum of Kronecker products; the matrix is small and is written out."""
        weight = torch.einsum("nab,nij->aibj", A, self.s @ self.t).reshape(self.s[..., 0].numel(), -1)
        return functional.linear(x, weight.T.to(x.dtype), self.bias.to(x.dtype))


class CompacterLayer(nn.Module):
    """Down-projection, ReLU, up-projection. All layers of a trial share the small matrices of `rule`."""

    def __init__(self, hidden_size: int, size: int, *, rule: SharedRule, generator: Generator) -> None:
        super().__init__()
        division = rule.A.shape[0]
        self.down = Kronecker(hidden_size, size, division=division)
        self.up = Kronecker(size, hidden_size, division=division)
        # In a tuple, so that the rule is owned and saved once, by the trial.
        self._rule = (rule,)
        with torch.no_grad():
            for start in (self.down.s, self.down.t, self.up.s):
                nn.init.xavier_uniform_(start, generator=generator)

    def forward(self, y: Float[Tensor, "n t h"]) -> Float[Tensor, "n t h"]:
        """Project down, cut below zero, project up."""
        A = self._rule[0].A
        changed: Tensor = self.up(functional.relu(self.down(y, A)), A)
        return changed


def build(place: Place) -> nn.Module | None:
    """Make the module of one layer, or None if its size is zero.

    Raises:
        UnsupportedBackbone: If `division` does not divide the widths.
    """
    settings = place.peft.compacter
    size = settings.size_at(place.layer)
    if not size:
        return None
    if place.hidden_size % settings.division or size % settings.division:
        raise UnsupportedBackbone(
            f"Compacter's division {settings.division} must divide the hidden size {place.hidden_size} "
            f"and the bottleneck size {size}."
        )
    if "compacter" not in place.shared:
        place.shared["compacter"] = SharedRule(settings.division, generator=place.generator)
    rule = place.shared["compacter"]
    assert isinstance(rule, SharedRule)  # noqa: S101  made just above
    return CompacterLayer(place.hidden_size, size, rule=rule, generator=place.generator)
