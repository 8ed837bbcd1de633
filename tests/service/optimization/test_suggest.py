"""The optimiser's promises: never twice, always an answer, exact costs, and better than chance."""

import dataclasses
import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from api_schemas.objectives import Metric, OutcomeConstraint
from api_schemas.search_space import CategoricalParameter, Parameterization
from service.optimization import suggest as suggest_module
from service.optimization.candidates import density_sample
from service.optimization.initial_design import design_size, spread
from service.optimization.outcomes import known_values, outcomes_of
from service.optimization.pool import augmented
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.suggest import suggest
from service.optimization.surrogate import fit_surrogate
from service.studies.pareto_front import hypervolume
from tests.service.optimization.problems import (
    SCORE,
    autopeft_problem,
    candidates,
    items,
    observe,
    problem_on,
    simulated_score,
)

SWITCHES = [{"type": "bool", "name": name} for name in "abcdefgh"]
NUMBERS = [
    {"type": "float", "name": "x", "low": 0.0, "high": 1.0},
    {"type": "float", "name": "y", "low": 0.0, "high": 1.0},
]


def measured(parameterization: Parameterization, *, score: float, seconds: float) -> Observation:
    return Observation(parameterization, {"score": score, "training_seconds": seconds})


def some_observations(problem: Problem, count: int) -> list[Observation]:
    rng = random.Random(0)
    drawn = {items(values): values for values in density_sample(problem.search_space, 4 * count, rng=rng)}
    return [
        measured(values, score=rng.random(), seconds=1 + rng.random())
        for values in list(drawn.values())[:count]
    ]


def only(suggestions: Sequence[Suggestion]) -> Suggestion:
    (suggestion,) = suggestions
    return suggestion


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 4), st.integers(0, 4))
def test_nothing_is_ever_suggested_twice(seed: int, ended: int, waiting: int) -> None:
    """A space of eight, asked for all that is left and more: exactly the rest comes, each once."""
    problem = problem_on(SWITCHES[:3])
    everything = [
        {"a": bool(n & 1), "b": bool(n & 2), "c": bool(n & 4)}
        for n in random.Random(seed).sample(range(8), 8)
    ]
    observations = [
        measured(values, score=0.1 * n, seconds=1.0) for n, values in enumerate(everything[:ended])
    ]
    pending = everything[ended : ended + waiting]
    found = suggest(problem, observations, pending=pending, count=20, seed=seed)
    keys = [items(suggestion.parameterization) for suggestion in found]
    assert sorted(keys) == sorted(map(items, everything[ended + waiting :]))


def test_an_infeasible_configuration_is_not_suggested_again() -> None:
    """It teaches the model nothing and is never repeated."""
    problem = problem_on(SWITCHES[:2])
    observations = [
        Observation({"a": True, "b": True}, None),
        *(measured({"a": False, "b": b}, score=0.5 + b, seconds=1.0) for b in (False, True)),
    ]
    found = only(suggest(problem, observations, pending=[], count=9, seed=0))
    assert found.parameterization == {"a": True, "b": False}


def test_equivalent_parameterizations_are_one() -> None:
    """The problem's key decides what is the same trial."""
    problem = problem_on(SWITCHES[:2], key=lambda values: values["a"])
    found = suggest(problem, [], pending=[{"a": True, "b": True}], count=5, seed=0)
    assert [suggestion.parameterization["a"] for suggestion in found] == [False]


def test_a_key_that_is_at_hand_is_not_computed_again() -> None:
    """For thousands of trials it takes seconds; what it says is believed."""
    problem = problem_on(SWITCHES[:2])
    told = {"a": True, "b": True}
    observation = Observation({"a": False, "b": False}, None, key=items(told))
    found = suggest(problem, [observation], pending=[], count=9, seed=0)
    assert told not in [suggestion.parameterization for suggestion in found]
    assert len(found) == 3


@pytest.mark.parametrize("count", [3, 14])
def test_same_arguments_same_answer(count: int) -> None:
    """Whatever the global random state is, and it is left as it was."""
    problem = problem_on([*SWITCHES, *NUMBERS])
    observations = some_observations(problem, count)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = suggest(problem, observations, pending=[], count=2, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert suggest(problem, observations, pending=[], count=2, seed=7) == first


def test_starting_points_come_first_in_their_order() -> None:
    """Except those that have run already."""
    points = ({"a": True, "b": False}, {"a": False, "b": False}, {"a": True, "b": True})
    problem = problem_on(SWITCHES[:2], starting_points=points)
    found = suggest(problem, [], pending=[points[0]], count=3, seed=0)
    assert [suggestion.parameterization for suggestion in found[:2]] == [points[1], points[2]]
    assert [suggestion.generated_by for suggestion in found] == [
        "starting_point", "starting_point", "initial_design",
    ]  # fmt: skip


def test_the_initial_design_spreads_over_the_known_cost() -> None:
    """Ten trials asked for one at a time cover four decades of parameters, cheap and dear ends included."""
    problem = autopeft_problem(12)
    designed: list[Parameterization] = []
    for _ in range(design_size(problem)):
        found = only(suggest(problem, [], pending=designed, count=1, seed=3))
        assert found.generated_by == "initial_design"
        designed.append(found.parameterization)
    costs = sorted(problem.known_metrics[Metric.TRAINABLE_PARAMETERS](candidates(problem, designed)))
    assert costs[0] < 2e4
    assert costs[-1] > 1e7
    assert max(after / before for before, after in itertools.pairwise(costs)) < 30


def test_a_choice_of_five_makes_the_initial_design_longer_than_a_number_does() -> None:
    """Two categoricals of five choices are ten columns to learn about; two numbers are two."""
    choices = ("a", "b", "c", "d", "e")
    cells = [CategoricalParameter(name=name, choices=choices) for name in "xy"]
    assert design_size(problem_on(cells)) == 10
    assert design_size(problem_on(NUMBERS)) == 5


def test_starting_points_leave_the_ends_of_the_range_to_the_design() -> None:
    """The cheapest and the dearest are tried, however many points of his own somebody has."""
    middle = [
        {**{f"peft.active_layers.{layer}": True for layer in range(6)}, "peft.prefix_tuning.length": 0,
         "peft.serial_adapter.bottleneck_size": size, "peft.parallel_adapter.bottleneck_size": 0}
        for size in (12, 24, 48)
    ]  # fmt: skip
    problem = dataclasses.replace(autopeft_problem(6), starting_points=tuple(middle))
    found = suggest(problem, [], pending=[], count=5, seed=0)
    listed = candidates(problem, [item.parameterization for item in found])
    costs = problem.known_metrics[Metric.TRAINABLE_PARAMETERS](listed)
    assert [item.generated_by for item in found] == ["starting_point"] * 3 + ["initial_design"] * 2
    assert costs[3] < 1.2e4
    assert costs[4] > 1e7


def test_a_spread_covers_the_ends_and_then_the_gaps() -> None:
    """Any prefix of the sequence leaves no large gap."""
    assert [spread(position) for position in range(6)] == [0.0, 1.0, 0.5, 0.25, 0.75, 0.125]


def test_a_hard_limit_on_a_known_metric_is_never_broken() -> None:
    """Starting points, initial design and model alike stay below the bound."""
    limit = OutcomeConstraint.model_validate({"metric": "trainable_parameters", "op": "<=", "bound": 50_000})
    free = autopeft_problem(6)
    problem = Problem(**{**free.__dict__, "constraints": (limit,)})
    observations: list[Observation] = []
    for _ in range(13):
        found = only(suggest(problem, observations, pending=[], count=1, seed=0))
        observations.append(
            observe(problem, found.parameterization, lambda values: simulated_score(values, 6))
        )
    assert found.generated_by == "logehvi"
    ran = candidates(problem, [observation.parameterization for observation in observations])
    counted = problem.known_metrics[Metric.TRAINABLE_PARAMETERS](ran)
    assert max(counted) <= 50_000


def test_known_outcomes_enter_the_model_exactly() -> None:
    """The model's answer for a known objective is the function's, at points it has never seen."""
    problem = autopeft_problem(6)
    outcomes = outcomes_of(problem)
    drawn = density_sample(problem.search_space, 40, rng=random.Random(0))
    X = augmented(problem, drawn)
    known = known_values(problem, outcomes, candidates(problem, drawn))
    Y = torch.cat([torch.rand(20, 1, dtype=torch.double), known[:20]], dim=1)
    surrogate = fit_surrogate(X[:20], Y, outcomes=outcomes, variances=[None, None], seed=0)
    assert torch.equal(surrogate.means(X[20:])[:, 1:], known[20:])


def test_a_pending_trial_moves_the_next_one_elsewhere() -> None:
    """On a smooth objective the second of two parallel suggestions keeps its distance from the first."""
    problem = problem_on(NUMBERS, objectives=(SCORE,))
    rng = random.Random(1)
    observations = [
        Observation({"x": x, "y": y}, {"score": 1 - (x - 0.7) ** 2 - (y - 0.3) ** 2})
        for x, y in ((rng.random(), rng.random()) for _ in range(10))
    ]
    alone = only(suggest(problem, observations, pending=[], count=1, seed=0))
    beside = only(suggest(problem, observations, pending=[alone.parameterization], count=1, seed=0))
    assert alone.generated_by == beside.generated_by == "logei"
    assert abs(float(alone.parameterization["x"]) - 0.7) < 0.15
    gap = sum(
        abs(float(alone.parameterization[name]) - float(beside.parameterization[name])) for name in ("x", "y")
    )
    assert gap > 1e-3


def test_constraints_on_measured_metrics_are_modelled() -> None:
    """Only the half with x below 0.5 is feasible; suggestions go there though the other half scores more."""
    limit = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 5.0})
    problem = problem_on(NUMBERS, objectives=(SCORE,), constraints=(limit,))
    rng = random.Random(2)
    observations = [
        Observation({"x": x, "y": y}, {"score": x + 0.1 * y, "latency_ms": 10 * x})
        for x, y in ((rng.random(), rng.random()) for _ in range(12))
    ]
    found = only(suggest(problem, observations, pending=[], count=1, seed=0))
    assert found.generated_by == "logei"
    assert 0.3 < float(found.parameterization["x"]) < 0.6


@pytest.mark.parametrize("value", [0.5, 0.0])
def test_equal_results_still_get_an_answer(value: float) -> None:
    """Nothing to learn from is no reason to stop."""
    problem = problem_on([*SWITCHES])
    observations = [
        measured(o.parameterization, score=value, seconds=1.0) for o in some_observations(problem, 12)
    ]
    assert len(suggest(problem, observations, pending=[], count=2, seed=0)) == 2


def test_a_failed_fit_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suggestion is still new, and is recorded as what it is."""

    def fail(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("The covariance is not positive definite.")

    monkeypatch.setattr(suggest_module, "fit_surrogate", fail)
    problem = problem_on(SWITCHES)
    observations = some_observations(problem, 12)
    found = only(suggest(problem, observations, pending=[], count=1, seed=0))
    assert found.generated_by == "fallback_random"
    assert items(found.parameterization) not in {items(o.parameterization) for o in observations}


def test_after_the_time_limit_the_rest_is_sampled() -> None:
    """The spread design costs no time and is not cut short."""
    problem = problem_on(SWITCHES)
    for known, rule in ((12, "time_limit"), (0, "initial_design")):
        observations = some_observations(problem, known)
        found = suggest(problem, observations, pending=[], count=3, seed=0, time_limit_seconds=0.0)
        assert [suggestion.generated_by for suggestion in found] == [rule] * 3


def test_a_fault_of_ours_is_not_taken_for_a_failed_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A programming error must be seen, not papered over by random trials."""

    def fail(*_: object, **__: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(suggest_module, "fit_surrogate", fail)
    problem = problem_on(SWITCHES)
    with pytest.raises(TypeError):
        suggest(problem, some_observations(problem, 12), pending=[], count=1, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_beats_sampling_on_an_autopeft_space() -> None:
    """Thirty trials on fifteen dimensions: more hypervolume than thirty density-spread random ones."""
    problem = autopeft_problem(12)

    def volume(observations: Sequence[Observation]) -> float:
        assert problem.reference_point is not None
        return hypervolume(
            problem.objectives,
            [observation.metrics for observation in observations if observation.metrics],
            reference_point=problem.reference_point,
        )

    gains = []
    for seed in range(3):
        observations: list[Observation] = []
        while len(observations) < 30:
            found = only(suggest(problem, observations, pending=[], count=1, seed=seed))
            observations.append(
                observe(problem, found.parameterization, lambda values: simulated_score(values, 12))
            )
        drawn = density_sample(problem.search_space, 30, rng=random.Random(seed))
        chance = [observe(problem, values, lambda values: simulated_score(values, 12)) for values in drawn]
        gains.append(volume(observations) - volume(chance))
    assert sum(gains) / len(gains) > 0.03
