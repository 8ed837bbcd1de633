"""The trained tensors of several trials as one tensor. Knows nothing about their use."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Stack:
    """One row of scalars for each trial, and views of it by the names of the trials' own tensors.

    `named[name]` has the shape (trials, *largest shape of that name); what a trial does not have is
    zero. Clipping and the optimiser see `values` and `gradients`, so they are a few operations on
    (trials, scalars) however many modules there are.
    """

    def __init__(self, trials: Sequence[Mapping[str, Tensor]]) -> None:
        shapes = largest_shapes(trials)
        like = next(iter(trials[0].values()))
        self.values: Float[Tensor, "trials scalars"] = torch.zeros(
            len(trials), scalars(shapes), dtype=like.dtype, device=like.device
        )
        self.gradients: Float[Tensor, "trials scalars"] = torch.zeros_like(self.values)
        self.active: Float[Tensor, "trials 1"] = torch.ones_like(self.values[:, :1])
        self.named: dict[str, nn.Parameter] = {}
        start = 0
        for name, shape in shapes.items():
            part = slice(start, start + math.prod(shape))
            start = part.stop
            self.named[name] = nn.Parameter(self.values[:, part].view(len(trials), *shape))
        for number, named in enumerate(trials):
            for name, tensor in named.items():
                self._of(number, name, tensor).copy_(tensor.detach())

    def differentiate(self, loss: Float[Tensor, ""]) -> None:
        """Put the gradient of a loss, which must depend on every tensor of the stack, into `gradients`."""
        gradients = torch.autograd.grad(loss, list(self.named.values()))
        torch.cat([gradient.flatten(1) for gradient in gradients], dim=1, out=self.gradients)

    def stop(self, number: int) -> None:
        """Set a trial to zero and train it no further."""
        for tensor in (self.active, self.values, self.gradients):
            tensor[number] = 0.0

    @torch.no_grad()
    def write_back(self, number: int, trial: Mapping[str, Tensor]) -> None:
        """Copy a trial's row into tensors of its own shapes."""
        for name, tensor in trial.items():
            tensor.copy_(self._of(number, name, tensor))

    def _of(self, number: int, name: str, tensor: Tensor) -> Tensor:
        return self.named[name].detach()[number][tuple(slice(size) for size in tensor.shape)]


def largest_shapes(trials: Sequence[Mapping[str, Tensor]]) -> dict[str, tuple[int, ...]]:
    """Return the shape that holds every trial's tensor of a name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for named in trials:
        for name, tensor in named.items():
            before = shapes.get(name, tuple(tensor.shape))
            shapes[name] = tuple(map(max, before, tensor.shape))
    return shapes


def scalars(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Count the scalars that one trial has in a stack."""
    return sum(map(math.prod, shapes.values()))
