"""Wide spaces: memory by blocks, and a time limit that is kept before, in and after the fit."""

import math
import random
import time
import tracemalloc

import numpy as np
import pytest
import torch

from service.optimization import importance, modelled_part
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.gaussian_process import fit_process
from service.optimization.importance import weigh_parameters
from service.optimization.problem import Observation, Problem
from service.optimization.proposers.even_draws import even_draws
from service.optimization.suggest import suggest
from tests.service.optimization.problems import problem_on


def wide_problem(parameters: int, *, choices: int) -> Problem:
    return problem_on(
        [{"type": "categorical", "name": f"p{n}", "choices": [*range(choices)]} for n in range(parameters)]
    )


def observations_of(problem: Problem, count: int) -> list[Observation]:
    rng = random.Random(0)
    return [
        Observation(values, {"score": rng.random(), "training_seconds": 1 + rng.random()})
        for values in even_draws(problem.search_space, count, rng=rng)
    ]


def test_importance_takes_memory_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty parameters of 500 choices: as table of all rows 80 MB, in blocks a few."""
    monkeypatch.setattr(importance, "BLOCK", 200_000)
    problem = wide_problem(20, choices=500)
    observations = observations_of(problem, 20)
    tracemalloc.start()
    found = weigh_parameters(problem, observations, earlier=(), seed=0).importance
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.objectives) == 2
    assert peak < 40_000_000


def test_blocks_change_no_importance(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for rounding."""
    problem = wide_problem(3, choices=4)
    observations = observations_of(problem, 24)
    whole = weigh_parameters(problem, observations, earlier=(), seed=0).importance
    monkeypatch.setattr(importance, "BLOCK", 1)
    parts = weigh_parameters(problem, observations, earlier=(), seed=0).importance
    for one, other in zip(whole.objectives, parts.objectives, strict=True):
        assert [item.name for item in one.parameters] == [item.name for item in other.parameters]
        assert [item.total_effect for item in one.parameters] == pytest.approx(
            [item.total_effect for item in other.parameters]
        )


def test_a_space_too_large_has_no_importance_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names its size."""
    monkeypatch.setattr(importance, "LARGEST", 900)
    problem = wide_problem(3, choices=4)
    found = weigh_parameters(problem, observations_of(problem, 24), earlier=(), seed=0).importance
    assert found.reason == "the search space is too large: 3 parameters in 12 columns"


def test_columns_in_which_all_rows_are_alike_keep_the_mode_of_the_prior() -> None:
    """A fit of all columns ends there, too; the others are fitted as if the rest were in it."""
    rng = np.random.default_rng(0)
    X = torch.zeros(30, 300, dtype=torch.double)
    X[:, :2] = torch.from_numpy(rng.random((30, 2)))
    process = fit_process(X, torch.sin(6 * X[:, 0]), variance=None, seed=0)
    mode = math.exp(math.sqrt(2) + 0.5 * math.log(300) - 3.0)
    assert process.lengthscales[2:].tolist() == pytest.approx([mode] * 298)
    assert process.lengthscales[0] < mode


def test_a_fit_ends_at_its_deadline_with_what_it_has() -> None:
    """It still predicts what it saw the sign of."""
    X = torch.linspace(0, 1, 40, dtype=torch.double).unsqueeze(1)
    late = fit_process(X, X[:, 0], variance=None, seed=0, deadline=time.monotonic())
    mean, _ = late.posterior(torch.tensor([[0.1], [0.9]], dtype=torch.double))
    assert mean[0] < mean[1]


def test_of_a_wide_space_fewer_observations_are_modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the numbers allow, the front among them."""
    monkeypatch.setattr(modelled_part, "FEWEST_MODELLED", 5)
    monkeypatch.setattr(modelled_part, "MODELLED_NUMBERS", 120)
    problem = wide_problem(3, choices=4)
    encoded = EncodedProblem(problem, observations_of(problem, 24), seed=0)
    assert len(encoded.modelled) == 10


def test_the_time_limit_holds_on_a_wide_space() -> None:
    """Forty parameters of 300 choices, forty results, a quarter of a second: what is late says so."""
    problem = wide_problem(40, choices=300)
    started = time.monotonic()
    found = suggest(
        problem, observations_of(problem, 40), pending=[], count=4, seed=0, time_limit_seconds=0.25
    )
    assert len(found) == 4
    assert found[-1].generated_by == "time_limit"
    assert time.monotonic() - started < 15
