"""What former studies contribute to the first trials, and that every trial says what it learned from."""

from collections.abc import Sequence
from dataclasses import replace

from api_schemas.search_space import Parameterization
from service.optimization.initial_design import design_size
from service.optimization.problem import Observation, Problem, Source, Suggestion
from service.optimization.suggest import suggest
from tests.service.optimization.problems import SCORE, problem_on

NUMBERS = [
    {"type": "float", "name": "x", "low": 0.0, "high": 1.0},
    {"type": "float", "name": "y", "low": 0.0, "high": 1.0},
]
PROBLEM = problem_on(NUMBERS, objectives=(SCORE,))


def score(values: Parameterization) -> float:
    x, y = float(values["x"]), float(values["y"])
    return -((x - 0.83) ** 2) - 3 * (y - 0.17) ** 2


def observed(values: Parameterization, sign: float = 1.0) -> Observation:
    return Observation(values, {"score": sign * score(values)})


def grid(sign: float = 1.0) -> tuple[Observation, ...]:
    return tuple(observed({"x": i / 6, "y": j / 6}, sign) for i in range(7) for j in range(7))


def warm(*sources: Source) -> Problem:
    return replace(PROBLEM, sources=sources)


def run(problem: Problem, count: int) -> tuple[list[Suggestion], list[Observation]]:
    suggestions: list[Suggestion] = []
    observations: list[Observation] = []
    for _ in range(count):
        (suggestion,) = suggest(problem, observations, pending=[], count=1, seed=0)
        suggestions.append(suggestion)
        observations.append(observed(suggestion.parameterization))
    return suggestions, observations


def regret(observations: Sequence[Observation]) -> float:
    return -max(observation.metrics["score"] for observation in observations if observation.metrics)


def test_a_right_source_ends_the_design_early_and_finds_the_best_sooner() -> None:
    """Six trials with it come nearer than nine without it; each says what it rests on."""
    suggestions, observations = run(warm(Source("std_1", observations=grid())), 6)
    assert [suggestion.generated_by for suggestion in suggestions[:4]] == [
        "initial_design", "transferred_design", "initial_design", "initial_design",
    ]  # fmt: skip
    last = suggestions[-1]
    assert last.generated_by == "logei"
    assert last.explanation is not None
    assert last.explanation.learned_from == {"std_1": 1.0}
    assert suggestions[0].explanation is None
    assert regret(observations) < regret(run(PROBLEM, 9)[1])


def test_a_negated_source_is_dropped_after_one_trial() -> None:
    """Then the design goes on as if it were not there, and so does the model."""
    problem = warm(Source("std_1", observations=grid(-1.0)))
    suggestions, observations = run(problem, 4)
    assert sum(suggestion.generated_by == "transferred_design" for suggestion in suggestions) == 1
    observations += [
        observed({"x": 0.1 * n, "y": 0.9 - 0.13 * n}) for n in range(design_size(PROBLEM.grid) - 4)
    ]
    for known in (observations[:4], observations):
        found = suggest(problem, known, pending=[], count=1, seed=0)
        assert found == suggest(PROBLEM, known, pending=[], count=1, seed=0)


def test_a_shuffled_metric_name_is_no_source() -> None:
    """A former study that never measured the objective has nothing to say."""
    silent = tuple(Observation(item.parameterization, {"latency_ms": 1.0}) for item in grid())
    assert run(warm(Source("std_1", observations=silent)), 2)[0] == run(PROBLEM, 2)[0]


def test_pareto_configurations_come_after_the_users_own() -> None:
    """In the order of the studies; one that was the user's own already is not run again."""
    own, first, second = ({"x": 0.1 * n, "y": 0.5} for n in range(3))
    problem = replace(
        warm(Source("std_1", starting_points=(own, first)), Source("std_2", starting_points=(second,))),
        starting_points=(own,),
    )
    found = suggest(problem, [], pending=[], count=4, seed=0)
    assert [item.parameterization for item in found[:3]] == [own, first, second]
    assert [item.generated_by for item in found] == [
        "starting_point", "transferred_point", "transferred_point", "initial_design",
    ]  # fmt: skip
    learned = [item.explanation.learned_from if item.explanation else None for item in found[:3]]
    assert learned == [None, {"std_1": 1.0}, {"std_2": 1.0}]


def test_many_at_once_are_half_the_sources_at_most_before_there_is_evidence() -> None:
    """Eight workers that start together do not bet everything on a former study."""
    found = suggest(warm(Source("std_1", observations=grid())), [], pending=[], count=8, seed=0)
    by = [item.generated_by for item in found[: design_size(PROBLEM.grid)]]
    assert by[:2] == ["initial_design", "transferred_design"]
    assert by.count("transferred_design") <= len(by) / 2


def test_the_same_answer_twice() -> None:
    """Asked with sources, too."""
    problem = warm(Source("std_1", observations=grid()))
    known = [observed({"x": 0.1 * n, "y": 0.9 - 0.13 * n}) for n in range(6)]
    first = suggest(problem, known, pending=[{"x": 0.5, "y": 0.5}], count=2, seed=3)
    assert suggest(problem, known, pending=[{"x": 0.5, "y": 0.5}], count=2, seed=3) == first
