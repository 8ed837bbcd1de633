"""Even is even: every choice, every integer and every part of a scale gets its share."""

import random
from collections import Counter

import pytest

from api_schemas.search_space import SearchSpace
from service.optimization.proposers import sobol
from service.optimization.proposers.even_draws import even_draws, parameterization_at
from tests.service.optimization.problems import problem_on

SPACE = SearchSpace.model_validate(
    {
        "parameters": [
            {"type": "int", "name": "depth", "low": 1, "high": 4},
            {"type": "ordinal", "name": "size", "choices": [1, 10, 100, 1000]},
            {"type": "bool", "name": "on"},
            {"type": "float", "name": "rate", "low": 1e-4, "high": 1.0, "log": True},
            {"type": "int", "name": "steps", "low": 1, "high": 7, "log": True},
        ]
    }
)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, {"depth": 1, "size": 1, "on": False, "rate": 1e-4, "steps": 1}),
        (0.5, {"depth": 3, "size": 100, "on": True, "rate": 1e-2, "steps": 2}),
        (1 - 1e-12, {"depth": 4, "size": 1000, "on": True, "rate": 1.0, "steps": 7}),
    ],
)
def test_a_share_is_a_place_on_the_scale(share: float, expected: dict[str, object]) -> None:
    """Both ends and the middle; the middle of 1 to 8 on a logarithmic scale is 2.8, a part of 2."""
    assert parameterization_at(SPACE, [share] * 5) == pytest.approx(expected)


def test_random_draws_are_even_and_independent() -> None:
    """Ends as often as the middle, and half of the switches on in most draws."""
    drawn = even_draws(SPACE, 4000, rng=random.Random(0))
    assert all(900 < times < 1100 for times in Counter(one["depth"] for one in drawn).values())
    assert 1900 < sum(bool(one["on"]) for one in drawn) < 2100


def test_sobol_shares_out_exactly() -> None:
    """The first 16 points hold each of 16 pairs of choices once, whether asked for at once or in parts."""
    choices = [{"type": "ordinal", "name": name, "choices": [1, 2, 3, 4]} for name in "xy"]
    problem = problem_on(choices)
    found = sobol.suggest(problem, [], pending=[], count=16, seed=0)
    assert {one.generated_by for one in found} == {"sobol"}
    points = [one.parameterization for one in found]
    assert sobol.suggest(problem, [], pending=points[:5], count=11, seed=0) == found[5:]


def test_sobol_fills_every_quarter_of_a_scale_equally() -> None:
    """Of 16 points of a number, four lie in each quarter."""
    numbers = [{"type": "float", "name": name, "low": 0.0, "high": 1.0} for name in "xyz"]
    found = sobol.suggest(problem_on(numbers), [], pending=[], count=16, seed=1)
    for name in "xyz":
        quarters = Counter(int(4 * float(one.parameterization[name])) for one in found)
        assert quarters == {0: 4, 1: 4, 2: 4, 3: 4}
