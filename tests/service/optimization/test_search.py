"""The search finds what enumeration and calculus find, and nothing that is taken."""

import numpy as np
import torch

from service.optimization.acquisition import Acquisition
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import density_codes, neighbour_codes, swap_codes, switches
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Grid
from service.optimization.problem import Problem
from service.optimization.search import Search, maximise
from tests.service.optimization.problems import problem_on

SWITCHES = [{"type": "bool", "name": name} for name in "abcdefghijklmn"]
NUMBERS = [{"type": "float", "name": name, "low": 0.0, "high": 1.0} for name in ("x", "y")]


def search_on(parameters: list[dict[str, object]], weights: torch.Tensor, **changes: object) -> Search:
    """Maximise the weighted sum of the encoded columns."""
    problem = problem_on(parameters, **changes)
    width = problem.grid.dimensions
    return searching(problem, lambda X: X[:, :width] @ weights)


def searching(problem: Problem, acquisition: Acquisition) -> Search:
    """Search from nothing observed."""
    encoded = EncodedProblem(problem, (), seed=0)
    return Search(encoded, CandidateFilter(problem), acquisition, np.random.default_rng(0))


def test_of_too_many_neighbours_every_parameter_has_its_share() -> None:
    """Twenty choices of fifty values: 980 neighbours, of which 100 are drawn, five of each."""
    grid = Grid(
        problem_on(
            [{"type": "ordinal", "name": f"p{n}", "choices": [*range(50)]} for n in range(20)]
        ).search_space
    )
    start = np.zeros((1, 20))
    found = neighbour_codes(grid, start, rng=np.random.default_rng(0), limit=100)
    assert (found > 0).sum(axis=0).tolist() == [5] * 20


def test_nothing_new_is_no_answer() -> None:
    """Every combination is taken."""
    search = search_on(SWITCHES[:2], torch.ones(2).double())
    for a in (False, True):
        for b in (False, True):
            search.allowed.take({"a": a, "b": b})
    assert maximise(search, np.zeros((1, 2))) is None


def test_the_deadline_ends_scoring_with_every_kind_of_candidate_in_part() -> None:
    """Once it is over, one part is scored, for an answer; the rest is not."""
    search = search_on(SWITCHES, torch.ones(14).double())
    search.deadline = 0.0
    scores = search.scores(density_codes(search.grid, 2000, rng=search.rng))
    scored = np.flatnonzero(scores > -np.inf)
    assert len(scored) == 500
    assert (np.diff(scored) == 4).all()


def test_the_taken_best_gives_way_to_the_second() -> None:
    """On a space that is searched whole."""
    search = search_on(SWITCHES[:3], torch.tensor([3.0, 2.0, 1.0]).double())
    search.allowed.take({"a": True, "b": True, "c": True})
    found = maximise(search, np.zeros((1, 3)))
    assert found is not None
    assert search.grid.parameterizations(found.codes) == [{"a": True, "b": True, "c": False}]


def test_what_is_new_is_found_behind_everything_that_is_taken() -> None:
    """Also where more is taken, and stands before it, than is looked at for a better one."""
    search = search_on(SWITCHES[:10], torch.tensor([2.0**n for n in range(10)]).double())
    for code in range(500, 1024):
        search.allowed.take({name: bool(code >> n & 1) for n, name in enumerate("abcdefghij")})
    found = maximise(search, np.zeros((1, 10)))
    assert found is not None
    assert found.score == 499


def test_exchange_reaches_the_best_of_sixteen_thousand() -> None:
    """Some weights are negative; the best candidate is known switch by switch."""
    weights = torch.tensor([(-1.0) ** n * (n + 1) for n in range(14)]).double()
    found = maximise(search_on(SWITCHES, weights), np.zeros((1, 14)))
    assert found is not None
    assert (found.codes[0] == (weights.numpy() > 0)).all()


def test_real_numbers_follow_the_gradient_to_the_top() -> None:
    """A paraboloid's peak to four digits, which no draw or step of a tenth finds."""
    peak = torch.tensor([0.31234, 0.78901]).double()
    search = searching(problem_on(NUMBERS), lambda X: -((X - peak) ** 2).sum(dim=1))
    found = maximise(search, np.full((1, 2), 0.5))
    assert found is not None
    assert np.abs(found.codes[0] - peak.numpy()).max() < 1e-4


def test_the_gradient_sees_what_a_known_metric_does() -> None:
    """The value falls with a cost that is known only as a function: its peak moves accordingly."""
    problem = problem_on(
        NUMBERS[:1], exact_metrics={"training_seconds": lambda asked: 2.0 * asked.values("x")}
    )
    # Outcomes are maximised, so the known column is -2x: -(x - 0.8)^2 - 0.2 * 2x has its peak at 0.6.
    search = searching(problem, lambda X: -((X[:, 0] - 0.8) ** 2) + 0.2 * X[:, 1])
    found = maximise(search, np.full((1, 1), 0.1))
    assert found is not None
    assert abs(found.codes[0, 0] - 0.6) < 1e-4


def test_a_swap_keeps_the_number_of_switches_that_are_on() -> None:
    """And changes exactly two."""
    grid = Grid(problem_on(SWITCHES).search_space)
    codes = density_codes(grid, 30, rng=np.random.default_rng(0))
    mixed = codes[(codes.sum(axis=1) > 0) & (codes.sum(axis=1) < 14)]
    swapped = swap_codes(grid, mixed, count=3, rng=np.random.default_rng(1))
    parents = np.repeat(mixed, 3, axis=0)
    assert (swapped.sum(axis=1) == parents.sum(axis=1)).all()
    assert ((swapped != parents).sum(axis=1) == 2).all()


def test_sizes_layer_by_layer_are_switches_and_a_few_sizes_are_not() -> None:
    """So that sparse and dense configurations are both drawn."""
    sizes = [{"type": "ordinal", "name": f"s{n}", "choices": [0, 4, 8]} for n in range(8)]
    assert switches(Grid(problem_on(sizes[:3]).search_space)) == []
    grid = Grid(problem_on(sizes).search_space)
    assert len(switches(grid)) == 8
    off = (density_codes(grid, 400, rng=np.random.default_rng(0)) == 0).mean(axis=1)
    assert off.min() == 0
    assert off.max() == 1
