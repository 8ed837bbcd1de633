"""AdamW and gradient clipping for a stack of trials, each as if it were alone."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from workers.packing.stack import Stack

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class StackedAdamW:
    """`torch.optim.AdamW` with learning rates (steps, trials) and a weight decay for each trial.

    Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 2. Per-trial parameter groups cannot
    exist on stacked tensors, so the rates are tensors.
    """

    def __init__(
        self, stack: Stack, *, learning_rates: Float[Tensor, "steps trials"], weight_decays: Sequence[float]
    ) -> None:
        self.stack = stack
        decays = torch.tensor(weight_decays, dtype=torch.double)
        values = stack.values
        # In double precision first: 1 - rate * decay would lose most of the decay in single.
        self._kept = (1 - learning_rates.double() * decays).to(values).unsqueeze(2)
        self._rates = learning_rates.to(values).unsqueeze(2)
        self._first = torch.zeros_like(values)
        self._second = torch.zeros_like(values)
        self._step = 0

    @torch.no_grad()
    def step(self) -> None:
        """Update every trial by its own gradient."""
        values, gradients = self.stack.values, self.stack.gradients
        kept, rate = self._kept[self._step], self._rates[self._step] * self.stack.active
        self._step += 1
        unbias_first, unbias_second = (1 - beta**self._step for beta in BETAS)
        self._first.lerp_(gradients, 1 - BETAS[0])
        self._second.mul_(BETAS[1]).addcmul_(gradients, gradients, value=1 - BETAS[1])
        deviation = (self._second.sqrt() / math.sqrt(unbias_second)).add_(EPSILON)
        values.mul_(kept).sub_(self._first / deviation * (rate / unbias_first))


def clip_each_trial(gradients: Float[Tensor, "trials scalars"], max_norm: float) -> Float[Tensor, " trials"]:
    """Scale each trial's gradient to at most a norm, in place, and return the norms from before.

    As `torch.nn.utils.clip_grad_norm_` does for a trial alone. One norm for the pack would couple them.
    """
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    gradients.mul_((max_norm / (norms + 1e-6)).clamp(max=1.0).unsqueeze(1))
    return norms
