"""Fronts and hypervolumes against brute force and closed forms."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.objectives import Direction, Metric, Objective, OutcomeConstraint
from service.optimization.outcomes import observed_values, outcomes_of, reference_values
from service.trials import pareto_front
from service.trials.pareto_front import (
    added_hypervolume,
    front_members,
    hypervolume,
    reference_point,
    satisfies,
)
from tests.service.optimization.problems import NUMBERS, problem_on
from tests.service.trials.brute_force import brute_force_front

SCORE = Objective(metric=Metric.SCORE, direction=Direction.MAXIMIZE)
SECONDS = Objective(metric=Metric.TRAINING_SECONDS, direction=Direction.MINIMIZE)
PARAMETERS = Objective(metric=Metric.TRAINABLE_PARAMETERS, direction=Direction.MINIMIZE)
LATENCY = Objective(metric=Metric.LATENCY_MS, direction=Direction.MINIMIZE)


points = st.lists(
    st.fixed_dictionaries(
        {name: st.integers(0, 6).map(float) for name in ("score", "training_seconds", "latency_ms")}
    ),
    max_size=12,
)


@given(points, st.integers(1, 3))
def test_the_front_is_what_brute_force_finds(metrics: list[dict[str, float]], count: int) -> None:
    """Directions, ties and duplicates included: equal points stay on the front together."""
    objectives = [SCORE, SECONDS, LATENCY][:count]
    assert front_members(objectives, metrics) == brute_force_front(objectives, metrics)


@given(points)
def test_hypervolume_equals_inclusion_and_exclusion(metrics: list[dict[str, float]]) -> None:
    """The union of boxes by inclusion and exclusion, on two objectives."""
    metrics = metrics[:6]
    corners = [(point["score"], 7 - point["training_seconds"]) for point in metrics]
    expected = sum(
        (-1) ** (size + 1) * math.prod(min(values) for values in zip(*chosen, strict=True))
        for size in range(1, len(corners) + 1)
        for chosen in itertools.combinations(corners, size)
    )
    found = hypervolume([SCORE, SECONDS], metrics, reference_point=(0.0, 7.0))
    assert found == pytest.approx(expected)


SIX = [
    Objective(metric=f"m{place}", direction=direction)
    for place, direction in enumerate([Direction.MINIMIZE, Direction.MAXIMIZE] * 3)
]
REFERENCE = (4.0, 1.0, 4.0, 1.0, 4.0, 1.0)
points_of_six = st.lists(
    st.fixed_dictionaries({one.metric: st.integers(0, 5).map(float) for one in SIX}), max_size=12
)


@given(points_of_six, points_of_six)
def test_what_points_add_is_the_difference_of_two_volumes(
    front: list[dict[str, float]], further: list[dict[str, float]]
) -> None:
    """Also of equal ones, dominated ones, and those that lie beyond the reference."""
    before, after = (
        hypervolume(SIX, metrics, reference_point=REFERENCE) for metrics in (front, front + further)
    )
    added = added_hypervolume(SIX, front, further, reference_point=REFERENCE)
    assert added == pytest.approx(after - before, rel=1e-9, abs=1e-9)


@given(points_of_six)
def test_a_volume_point_by_point_is_that_of_all_at_once(metrics: list[dict[str, float]]) -> None:
    """As it is found for many points of six objectives."""
    direct = hypervolume(SIX, metrics, reference_point=REFERENCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pareto_front, "DIRECT_AT_MOST", 0)
        assert hypervolume(SIX, metrics, reference_point=REFERENCE) == pytest.approx(direct)


def test_a_point_costs_little_on_a_large_front_of_six_objectives() -> None:
    """A study's lock is held meanwhile: a fifth of the time of the whole front at most."""
    directions = np.abs(np.random.default_rng(0).normal(size=(601, 6)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # On a sphere: none dominates another.
    metrics = [
        {one.metric: float(value) for one, value in zip(SIX, row, strict=True)} for row in 1 - directions
    ]
    for row in metrics:
        row.update({one.metric: 2 - row[one.metric] for one in SIX if one.direction is Direction.MAXIMIZE})
    reference = (1.1, 0.9) * 3
    began = time.perf_counter()
    whole = hypervolume(SIX, metrics[:600], reference_point=reference)
    seconds_of_whole, began = time.perf_counter() - began, time.perf_counter()
    added = added_hypervolume(SIX, metrics[:600], metrics[600:], reference_point=reference)
    assert time.perf_counter() - began < seconds_of_whole / 5
    assert whole + added == pytest.approx(hypervolume(SIX, metrics, reference_point=reference))
    assert added > 0


def test_counts_enter_on_a_logarithmic_scale() -> None:
    """Score 0.75 over guessing at 0.5, and one decade below the largest configuration."""
    found = hypervolume(
        [SCORE, PARAMETERS],
        [{"score": 0.75, "trainable_parameters": 1e4}],
        reference_point=(0.5, 1e5),
    )
    assert found == pytest.approx(0.25 * 1.0)


def test_no_points_dominate_nothing() -> None:
    """An empty front has no volume."""
    assert hypervolume([SCORE], [], reference_point=(0.0,)) == 0.0
    assert front_members([SCORE], []) == []


def test_a_users_reference_wins_over_the_natural_one() -> None:
    """What the user states is not second-guessed."""
    own = SCORE.model_copy(update={"reference": 0.6})
    assert reference_point([own, PARAMETERS], [0.5, 100.0], []) == (0.6, 100.0)


def test_a_reference_without_natural_bound_waits_for_five_trials() -> None:
    """Then it lies a tenth of their range beyond the worst of them."""
    observed = [{"score": 0.5, "latency_ms": float(value)} for value in (3, 1, 10, 4, 5)]
    assert reference_point([SCORE, LATENCY], [0.5, None], observed[:4]) is None
    assert reference_point([SCORE, LATENCY], [0.5, None], observed) == (0.5, 10.9)


def test_one_collapsed_run_does_not_set_the_reference() -> None:
    """Median 1.2, best 1.0, a spread of 0.2: what counts ends at 3.2, 0.22 beyond it the reference."""
    observed = [{"score": 0.5, "loss": value} for value in (1.1, 1.0, 1e12, 1.2, 1.3)]
    loss = Objective.model_validate({"metric": "loss", "direction": "minimize"})
    assert reference_point([SCORE, loss], [0.5, None], observed) == pytest.approx((0.5, 3.42))


def test_a_reference_on_a_logarithmic_scale_lies_a_tenth_of_the_decades_beyond_the_worst() -> None:
    """From 1e-4 to 1: four decades; for a metric to maximise, downwards."""
    observed = [{"error": value, "score": 0.5} for value in (1e-4, 1.0, 1e-2, 1e-1, 1e-3)]
    for direction, expected in (("minimize", 10**0.4), ("maximize", 10**-4.4)):
        error = Objective.model_validate({"metric": "error", "direction": direction, "log": True})
        assert reference_point([error], [None], observed) == pytest.approx((expected,))


def test_equal_results_leave_room_beyond_them() -> None:
    """Or none of them, and nothing worse later, would ever count."""
    equal = [{"score": 0.0, "latency_ms": 20.0}] * 5
    assert reference_point([SCORE, LATENCY], [None, None], equal) == pytest.approx((-0.1, 22.0))


def test_the_service_and_the_optimiser_infer_the_same_reference() -> None:
    """From the same results, whatever direction and scale."""
    objectives = (
        Objective.model_validate({"metric": "a", "direction": "maximize"}).of_the_caller(),
        Objective.model_validate({"metric": "b", "direction": "minimize"}).of_the_caller(),
        Objective.model_validate({"metric": "c", "direction": "minimize", "log": True}).of_the_caller(),
    )
    observed = [{"a": 3.0 * n, "b": 1e3 - n**2, "c": 2.0**-n} for n in range(6)]
    problem = problem_on(NUMBERS, objectives=objectives, counts=frozenset())
    outcomes = outcomes_of(problem)
    inferred = reference_values(problem, outcomes, observed_values(outcomes, observed)).tolist()
    settled = reference_point(objectives, [None] * 3, observed)
    assert settled is not None
    assert [outcome.value(raw) for outcome, raw in zip(outcomes, settled, strict=True)] == pytest.approx(
        inferred
    )


def test_constraints_hold_at_their_bound() -> None:
    """At most and at least both include equality."""
    at_most = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 5})
    at_least = OutcomeConstraint.model_validate({"metric": "score", "op": ">=", "bound": 0.7})
    assert satisfies([at_most, at_least], {"latency_ms": 5.0, "score": 0.7})
    assert not satisfies([at_most], {"latency_ms": 5.1})


def test_a_metric_that_the_caller_calls_logarithmic_is_taken_as_one() -> None:
    """Also below 1, where a count would have no logarithm: two decades by one unit are an area of two."""
    error = Objective(metric="error", direction=Direction.MINIMIZE, log=True)
    area = hypervolume(
        [error, SECONDS], [{"error": 0.01, "training_seconds": 4.0}], reference_point=(1.0, 5.0)
    )
    assert area == pytest.approx(2.0)
