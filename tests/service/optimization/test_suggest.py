"""The optimiser's promises: never twice, always an answer, exact costs, and better than chance."""

import dataclasses
import random
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.search_space import Parameterization
from service.optimization import acquisition
from service.optimization import suggest as suggest_module
from service.optimization.candidates import density_sample
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Candidates, Codes
from service.optimization.modelled_part import MODELLED_OBSERVATIONS, modelled_part
from service.optimization.outcomes import exact_values, outcomes_of
from service.optimization.problem import Observation, Problem, Source, Suggestion
from service.optimization.search import Scores, Search
from service.optimization.suggest import suggest
from service.optimization.surrogate import fit_surrogate
from service.trials.pareto_front import hypervolume
from tests.service.optimization.problems import (
    NUMBERS,
    SCORE,
    autopeft_problem,
    candidates,
    items,
    observe,
    only,
    problem_on,
    simulated_score,
)

SWITCHES = [{"type": "bool", "name": name} for name in "abcdefgh"]


def measured(parameterization: Parameterization, *, score: float, seconds: float) -> Observation:
    return Observation(parameterization, {"score": score, "training_seconds": seconds})


def some_observations(problem: Problem, count: int) -> list[Observation]:
    rng = random.Random(0)
    drawn = {items(values): values for values in density_sample(problem.search_space, 4 * count, rng=rng)}
    return [
        measured(values, score=rng.random(), seconds=1 + rng.random())
        for values in list(drawn.values())[:count]
    ]


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


def test_what_the_models_read_is_what_is_suggested() -> None:
    """With `a` off the rest is without effect; whoever looks at the trials should not see spellings."""

    def spelled(candidates: Candidates) -> Codes:
        return np.where(candidates.codes[:, :1] == 1.0, candidates.codes, [0.0, 1.0, 0.0, 1.0])

    problem = problem_on(SWITCHES[:4], key=lambda values: items(values) if values["a"] else False)
    problem = dataclasses.replace(problem, spelled=spelled)
    with_a = [dict(zip("abcd", (True, *rest), strict=True)) for rest in product((False, True), repeat=3)]
    observations = [measured(values, score=0.1, seconds=1.0 + n) for n, values in enumerate(with_a)]
    found = only(suggest(problem, observations, pending=[], count=9, seed=0))
    assert found.explanation is not None
    assert found.parameterization == {"a": False, "b": True, "c": False, "d": True}


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


def test_known_outcomes_enter_the_model_exactly() -> None:
    """The model's answer for a known objective is the function's, at points it has never seen."""
    problem = autopeft_problem(6)
    outcomes = outcomes_of(problem)
    drawn = density_sample(problem.search_space, 40, rng=random.Random(0))
    X = EncodedProblem(problem, (), seed=0).rows_of(drawn)
    known = exact_values(problem, outcomes, candidates(problem, drawn))
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


def test_a_batch_shares_the_search_of_its_first_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two have a search each; a larger batch begins as one alone, and each further one scores a fraction."""
    scored: list[int] = []
    whole = Search.scores

    def counted(search: Search, codes: Codes) -> Scores:
        scored.append(len(codes))
        return whole(search, codes)

    monkeypatch.setattr(Search, "scores", counted)
    problem = problem_on(NUMBERS)
    observations = some_observations(problem, 12)

    def batch(count: int) -> tuple[list[Suggestion], int]:
        scored.clear()
        return suggest(problem, observations, pending=[], count=count, seed=0), sum(scored)

    alone, for_one = batch(1)
    pair, for_two = batch(2)
    several, for_five = batch(5)
    assert several[0].parameterization == pair[0].parameterization == alone[0].parameterization
    assert len({items(one.parameterization) for one in several}) == 5
    assert for_two > 1.5 * for_one
    assert for_five < 3 * for_one


@pytest.mark.slow
def test_with_five_objectives_successive_suggestions_weigh_them_differently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same call gives the same weights; the next trial others."""
    objectives = tuple(Objective.model_validate({"metric": m, "direction": "maximize"}) for m in "abcde")
    problem = problem_on(NUMBERS, objectives=objectives)
    rng = random.Random(0)
    observations = [
        Observation({"x": rng.random(), "y": rng.random()}, {m: rng.random() for m in "abcde"})
        for _ in range(8)
    ]
    seen: list[list[float]] = []
    plain = acquisition.qLogNParEGO

    def noting(*args: object, scalarization_weights: torch.Tensor, **more: object) -> object:
        seen.append(scalarization_weights.tolist())
        return plain(*args, scalarization_weights=scalarization_weights, **more)

    monkeypatch.setattr(acquisition, "qLogNParEGO", noting)
    for known in (7, 8, 8):
        only(suggest(problem, observations[:known], pending=[], count=1, seed=0))
    assert seen[0] != seen[1]
    assert seen[1] == seen[2]
    assert sum(seen[0]) == pytest.approx(1.0)


def test_trials_that_could_not_run_teach_before_any_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty failures at x above 0.2: proposals leave them behind, where blind draws would not."""
    problem = problem_on(NUMBERS)
    rng = random.Random(0)
    failed = [Observation({"x": rng.uniform(0.2, 1), "y": rng.random()}, None) for _ in range(40)]
    fits, plain = [], suggest_module.fit_process
    monkeypatch.setattr(suggest_module, "fit_process", lambda *a, **b: fits.append(1) or plain(*a, **b))
    found = suggest(problem, failed, pending=[], count=4, seed=0)
    assert len(fits) == 1  # for all four
    assert {suggestion.generated_by for suggestion in found} == {"feasibility"}
    assert all(float(suggestion.parameterization["x"]) < 0.2 for suggestion in found)


def test_of_many_observations_the_front_within_the_limits_is_modelled() -> None:
    """What breaks a limit is no member; a front too long for half the places is thinned, not cut off."""
    limit = OutcomeConstraint.model_validate({"metric": "memory", "op": "<=", "bound": 0.5})
    problem = problem_on(NUMBERS, constraints=(limit,))
    count = 2000
    observations = [
        Observation(
            {"x": row / count, "y": 0.5},
            # All within the limit are members; all beyond it would dominate them.
            {"score": row / count + row % 2, "training_seconds": 1 + row / count, "memory": float(row % 2)},
        )
        for row in range(count)
    ]
    kept = modelled_part(problem, outcomes_of(problem), observations, seed=0)
    rows = {round(float(item.parameterization["x"]) * count) for item in kept}
    even = [row for row in rows if row % 2 == 0]
    assert len(kept) == len(rows) == MODELLED_OBSERVATIONS
    assert max(even) > 0.99 * count
    assert min(even) < 0.01 * count
    assert len(even) > MODELLED_OBSERVATIONS // 2
    assert len(even) < len(rows)


def test_what_is_excluded_is_not_suggested_and_says_nothing_of_its_neighbours() -> None:
    """A trial that failed: unlike one that is under way, it makes nothing near it less worth a trial."""
    problem = problem_on(SWITCHES[:6], objectives=(SCORE,))
    observations = some_observations(problem, 12)
    first = only(suggest(problem, observations, pending=[], count=1, seed=0))
    beside = {**first.parameterization, "a": not first.parameterization["a"]}
    excluding = dataclasses.replace(problem, excluded=(beside,))
    found = only(suggest(excluding, observations, pending=[], count=1, seed=0))
    assert found.parameterization == first.parameterization
    assert found.explanation is not None
    assert found.explanation == first.explanation
    rest = suggest(excluding, observations, pending=[], count=64, seed=0)
    assert items(beside) not in {items(one.parameterization) for one in rest}
    assert len(rest) == 64 - 1 - len({items(one.parameterization) for one in observations})


def test_what_others_are_compared_with_is_modelled_among_very_many() -> None:
    """What a study began with, and what was measured with several seeds."""
    problem = problem_on(NUMBERS, objectives=(SCORE,))
    observations = [
        Observation({"x": row / 2000, "y": 0.5}, {"score": float(row)}, seeds=3 if row % 500 == 0 else 1)
        for row in range(2000)
    ]
    kept = modelled_part(problem, outcomes_of(problem), observations, seed=0)
    rows = {round(2000 * float(item.parameterization["x"])) for item in kept}
    assert {*range(10), 500, 1000, 1500, 1999} <= rows


def test_a_former_study_teaches_what_the_scale_has_a_place_for() -> None:
    """It may have taken a metric by its value that this study takes by its logarithm."""
    log_loss = Objective.model_validate({"metric": "loss", "direction": "minimize", "log": True})
    past = tuple(
        Observation({"x": row / 10, "y": 0.5}, {"loss": -1.0 if row == 3 else row + 1.0}) for row in range(8)
    )
    problem = dataclasses.replace(
        problem_on(NUMBERS, objectives=(log_loss,)), sources=(Source("std_before", past),)
    )
    (observed,) = EncodedProblem(problem, [], 0).sources["loss"]
    assert len(observed.y) == 7
    known = [
        Observation({"x": 0.1, "y": 0.2}, {"loss": 1.0}),
        Observation({"x": 0.6, "y": 0.2}, {"loss": 2.0}),
    ]
    assert suggest(problem, known, pending=[], count=1, seed=0)


def test_the_unit_of_a_metric_does_not_matter() -> None:
    """Seconds or ten-billionths of them."""
    problem = problem_on(NUMBERS, objectives=(SCORE,))
    rng = random.Random(3)
    drawn = [(rng.random(), rng.random()) for _ in range(12)]

    def proposed(scale: float) -> tuple[float, ...]:
        observations = [
            Observation({"x": x, "y": y}, {"score": -scale * ((x - 0.4) ** 2 + (y - 0.7) ** 2)})
            for x, y in drawn
        ]
        found = only(suggest(problem, observations, pending=[], count=1, seed=0))
        return tuple(float(found.parameterization[name]) for name in "xy")

    assert proposed(1e-10) == pytest.approx(proposed(1.0), abs=0.01)


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
