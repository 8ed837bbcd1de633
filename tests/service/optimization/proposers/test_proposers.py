"""What every proposer promises, whatever it does inside; and what those that learn have in common."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from api_schemas.objectives import OutcomeConstraint
from api_schemas.proposals import Proposer
from service.optimization.problem import Observation, Problem
from service.optimization.proposers import proposer_of
from service.optimization.proposers.even_draws import even_draws
from service.optimization.suggest import suggest
from tests.service.optimization.problems import autopeft_problem, candidates, items, problem_on

SWITCHES = [{"type": "bool", "name": name} for name in "abcdefgh"]
MIXED = [
    {"type": "categorical", "name": "kind", "choices": ["x", 1, True, 2.5]},
    {
        "type": "ordinal",
        "name": "size",
        "choices": [0, 3, 96, 768],
        "when": {"parameter": "kind", "in": ["x"]},
    },
    {
        "type": "int",
        "name": "depth",
        "low": 1,
        "high": 1000,
        "log": True,
        "when": {"parameter": "kind", "in": [1]},
    },
    {"type": "bool", "name": "on", "when": {"parameter": "kind", "in": [True]}},
    {
        "type": "float",
        "name": "rate",
        "low": 1e-5,
        "high": 1e-2,
        "log": True,
        "when": {"parameter": "on", "in": [True]},
    },
    {"type": "int", "name": "count", "low": -3, "high": 3},
]
OTHERS = [name for name in Proposer if name is not Proposer.PARETUNE]


def random_observations(problem: Problem, count: int) -> list[Observation]:
    """Observations of distinct configurations; every fifth is infeasible."""
    rng = random.Random(5)
    drawn = {repr(items(values)): values for values in even_draws(problem.search_space, 4 * count, rng=rng)}
    return [
        Observation(values, {"score": rng.random(), "training_seconds": 1 + rng.random()} if n % 5 else None)
        for n, values in enumerate(list(drawn.values())[:count])
    ]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(("ended", "waiting"), [(0, 0), (4, 2), (5, 3)])
def test_a_small_space_is_exhausted_once(name: Proposer, ended: int, waiting: int) -> None:
    """Asked for more than is left, exactly the rest of eight comes, each once."""
    problem = problem_on(SWITCHES[:3])
    everything = [{"a": bool(n & 1), "b": bool(n & 2), "c": bool(n & 4)} for n in (3, 0, 7, 5, 1, 2, 6, 4)]
    observations = [
        Observation(values, {"score": 0.1 * n, "training_seconds": 1.0} if n else None)
        for n, values in enumerate(everything[:ended])
    ]
    pending = everything[ended : ended + waiting]
    found = proposer_of(name)(problem, observations, pending=pending, count=20, seed=3)
    assert sorted(items(one.parameterization) for one in found) == sorted(
        map(items, everything[ended + waiting :])
    )


@pytest.mark.parametrize("name", OTHERS)
def test_values_are_legal_and_inactive_parameters_absent(name: Proposer) -> None:
    """Of a space with every type and nested conditions; nothing that ended or waits comes again."""
    problem = problem_on(MIXED)
    observations = random_observations(problem, 45)
    pending = even_draws(problem.search_space, 3, rng=random.Random(0))
    found = proposer_of(name)(problem, observations, pending=pending, count=6, seed=1)
    used = {repr(items(one.parameterization)) for one in observations} | {repr(items(one)) for one in pending}
    assert len(found) == 6
    for one in found:
        assert one.generated_by == str(name)
        assert type(one.generated_by) is str
        assert problem.search_space.active(one.parameterization) == one.parameterization
        for parameter in problem.search_space.parameters:
            if parameter.name in one.parameterization:
                assert parameter.contains(one.parameterization[parameter.name])
        every = {parameter.name: 0 for parameter in problem.search_space.parameters}
        assert problem.search_space.active(every | one.parameterization).keys() == one.parameterization.keys()
        assert repr(items(one.parameterization)) not in used
        used.add(repr(items(one.parameterization)))


@pytest.mark.parametrize("name", OTHERS)
def test_same_arguments_same_answer(name: Proposer) -> None:
    """Another seed, another answer; the global random states are left as they were."""
    problem = problem_on(MIXED)
    observations = random_observations(problem, 45)
    propose = proposer_of(name)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    first = propose(problem, observations, pending=[], count=3, seed=7)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    torch.manual_seed(2)
    assert propose(problem, observations, pending=[], count=3, seed=7) == first
    assert propose(problem, observations, pending=[], count=3, seed=8) != first


@pytest.mark.parametrize("name", OTHERS)
def test_a_hard_limit_on_a_known_metric_is_never_broken(name: Proposer) -> None:
    """Starting points beyond it included; few even draws of this space are so small."""
    limit = OutcomeConstraint.model_validate({"metric": "trainable_parameters", "op": "<=", "bound": 60_000})
    free = autopeft_problem(6)
    large = {parameter.name: True for parameter in free.search_space.parameters}
    sizes = ("serial_adapter.bottleneck_size", "parallel_adapter.bottleneck_size", "prefix_tuning.length")
    large |= {f"peft.{size}": 768 for size in sizes}
    problem = Problem(**{**free.__dict__, "constraints": (limit,), "starting_points": (large,)})
    found = proposer_of(name)(problem, [], pending=[], count=5, seed=0)
    counts = problem.exact_metrics["trainable_parameters"](
        candidates(problem, [one.parameterization for one in found])
    )
    assert len(found) == 5
    assert max(counts) <= 60_000


@pytest.mark.parametrize("name", OTHERS)
def test_starting_points_come_first_and_equivalents_are_one(name: Proposer) -> None:
    """In their order, except those that wait; the problem's key says what is the same trial."""
    points = ({"a": True, "b": False}, {"a": False, "b": False})
    propose = proposer_of(name)
    found = propose(
        problem_on(SWITCHES[:2], starting_points=points), [], pending=[points[0]], count=2, seed=0
    )
    assert found[0].parameterization == points[1]
    assert [one.generated_by for one in found] == ["starting_point", str(name)]
    same = propose(
        problem_on(SWITCHES[:2], key=lambda values: values["a"]), [], pending=[points[0]], count=5, seed=0
    )
    assert [one.parameterization["a"] for one in same] == [False]


def test_after_the_time_limit_it_draws_and_says_so() -> None:
    """Late is no reason to leave a worker without work."""
    problem = problem_on(SWITCHES)
    found = proposer_of(Proposer.RANDOM)(problem, [], pending=[], count=2, seed=0, time_limit_seconds=0.0)
    assert [one.generated_by for one in found] == ["time_limit"] * 2


def test_the_default_is_the_engine_itself() -> None:
    """One door for all."""
    assert proposer_of(Proposer.PARETUNE) is suggest


@pytest.mark.parametrize("name", [Proposer.RANDOM, Proposer.SOBOL])
def test_a_proposer_without_a_model_loads_no_torch(name: Proposer) -> None:
    """A study worker's process that replaces a killed one is at work in a moment."""
    program = f"""
import sys
from api_schemas.proposals import Proposer
from service.optimization.proposers import proposer_of

proposer_of(Proposer("{name.value}"))
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
