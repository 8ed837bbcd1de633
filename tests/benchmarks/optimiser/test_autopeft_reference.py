"""The published recipe: its transform against a closed form, and whole proposals where JAX is."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from api_schemas.objectives import OutcomeConstraint
from benchmarks.optimiser.proposers.autopeft_reference import RANDOM_TRIALS, gaussian_copula, suggest
from benchmarks.optimiser.proposers.catalogue import proposer_named
from benchmarks.optimiser.proposers.proposer import ProposerUnavailable
from service.optimization.problem import Observation, Suggestion
from service.optimization.proposers.even_draws import even_draws
from service.optimization.proposers.in_turn import generator
from tests.service.optimization.problems import problem_on

NUMBERS = [{"type": "float", "name": name, "low": 0.0, "high": 1.0} for name in "xy"]


def test_the_copula_is_the_normal_quantile_of_the_rank() -> None:
    """Of four values the second has half at or below it; the ends are clamped; units do not matter."""
    Y = torch.tensor([[1.0], [10.0], [100.0], [1e9]], dtype=torch.double)
    at = torch.tensor([[10.0], [99.0], [0.0], [1e9]], dtype=torch.double)
    found = gaussian_copula(Y, at).squeeze(1)
    assert found.tolist() == pytest.approx([0.0, 0.0, -3.71902, 3.71902], abs=1e-4)


def propose_twice() -> list[list[Suggestion]]:
    limit = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 7.0})
    problem = problem_on(NUMBERS, constraints=(limit,))
    drawn = even_draws(problem.search_space, RANDOM_TRIALS, rng=generator("test", 0, 0))
    observations = [
        Observation(
            values,
            {
                "score": 1 - (float(values["x"]) - 0.6) ** 2,
                "training_seconds": 1 + 10 * (float(values["x"]) - 0.3) ** 2,
                "latency_ms": 10 * float(values["y"]),
            },
        )
        for values in drawn
    ]
    return [
        suggest(problem, observations, pending=[{"x": 0.45, "y": 0.1}], count=2, seed=seed) for seed in (0, 0)
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_proposes_on_the_front_and_says_the_same_twice() -> None:
    """Between the two optima of x, below the limit on y; without JAX it says what to install.

    In a process of its own: JAX forbids a process to fork.
    """
    try:
        proposer_named("autopeft-reference")
    except ProposerUnavailable as error:
        assert "paretune[peers]" in str(error)  # noqa: PT017
        return
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.submit(propose_twice).result()
    assert first == second
    assert [one.generated_by for one in first] == ["autopeft_reference"] * 2
    for one in first:
        assert 0.25 < float(one.parameterization["x"]) < 0.65
        assert float(one.parameterization["y"]) < 0.75
