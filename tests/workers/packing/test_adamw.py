"""Many trials in one step against torch's own optimiser and clipping, trial by trial."""

import pytest
import torch

from workers.packing.adamw import StackedAdamW, clip_each_trial
from workers.packing.stack import Stack

STEPS = 7
RATES = torch.tensor([[1e-2, 1e-3, 0.5]], dtype=torch.double) * torch.linspace(1, 0.1, STEPS).unsqueeze(1)
DECAYS = [0.0, 0.1, 1.0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.double, 1e-14), (torch.float, 1e-6)])
def test_each_trial_takes_the_steps_of_torch(dtype: torch.dtype, tolerance: float) -> None:
    """Rates that change with every step, decays from none to all, clipping of the large gradients."""
    torch.manual_seed(0)
    initial = [torch.randn(4, 3, dtype=dtype) for _ in DECAYS]
    gradients = torch.randn(STEPS, len(DECAYS), 12, dtype=dtype) * torch.tensor([[1e-3], [1.0], [10.0]])
    stack = Stack([{"w": tensor} for tensor in initial])
    optimiser = StackedAdamW(stack, learning_rates=RATES, weight_decays=DECAYS)
    for of_step in gradients:
        stack.gradients.copy_(of_step)
        clip_each_trial(stack.gradients, 1.0)
        optimiser.step()
    for trial, tensor in enumerate(initial):
        weight = torch.nn.Parameter(tensor.clone())
        reference = torch.optim.AdamW([weight], weight_decay=DECAYS[trial])
        for step, of_step in enumerate(gradients):
            weight.grad = of_step[trial].view(4, 3).clone()
            torch.nn.utils.clip_grad_norm_([weight], 1.0)
            reference.param_groups[0]["lr"] = float(RATES[step, trial])
            reference.step()
        assert torch.allclose(stack.named["w"][trial], weight, atol=tolerance, rtol=0)


def test_norms_are_given_as_they_were_before_clipping() -> None:
    """Each trial's own; one that is not finite leaves the others alone."""
    gradients = torch.tensor([[3.0, 4.0], [0.3, 0.4], [float("inf"), 1.0]])
    norms = clip_each_trial(gradients, 1.0)
    assert norms.tolist() == pytest.approx([5.0, 0.5, float("inf")])
    assert gradients[:2].norm(dim=1).tolist() == pytest.approx([1.0, 0.5], abs=1e-6)


def test_a_stopped_trial_stays_where_it_is() -> None:
    """At zero, whatever gradient it still gets; the others move."""
    stack = Stack([{"w": torch.ones(2)}, {"w": torch.ones(3)}])
    optimiser = StackedAdamW(stack, learning_rates=RATES[:, :2], weight_decays=DECAYS[:2])
    stack.stop(0)
    stack.gradients.fill_(1.0)
    optimiser.step()
    assert torch.count_nonzero(stack.values[0]) == 0
    assert (stack.values[1] < 1).all()


def test_a_stack_pads_with_zeros_and_gives_back_what_it_got() -> None:
    """Each trial's tensors in the corner of the largest; names that a trial lacks are zero."""
    trials = [
        {"a": torch.rand(2, 3), "b": torch.rand(4)},
        {"a": torch.rand(3, 1)},
    ]
    stack = Stack(trials)
    assert stack.named["a"].shape == (2, 3, 3)
    assert torch.count_nonzero(stack.values[1]) == 3
    for number, trial in enumerate(trials):
        found = {name: torch.zeros_like(tensor) for name, tensor in trial.items()}
        stack.write_back(number, found)
        assert all(torch.equal(found[name], trial[name]) for name in trial)
