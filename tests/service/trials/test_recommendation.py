"""Choosing a point: known knees, weights, bounds, and what is said of the alternatives."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.objectives import Objective
from api_schemas.recommendation import RecommendationQuery
from service.errors import InvalidChoice, NoPointWithinBounds
from service.trials.recommendation import Floor, Point, choose, front_ranges, lost_alternatives, shares
from tests.conftest import make_study_request

OBJECTIVES = make_study_request().objectives
LATENCY = Objective.model_validate({"metric": "latency_ms", "direction": "minimize"})
SCORE = OBJECTIVES[0]


def point(number: int, **metrics: float) -> Point:
    return Point(trial_id=f"trl_{number}", number=number, metrics=metrics)


def scored(number: int, score: float, parameters: float) -> Point:
    return point(number, score=score, trainable_parameters=parameters, latency_ms=5.0)


def query(**asked: object) -> RecommendationQuery:
    return RecommendationQuery.model_validate(asked)


FRONT = [
    scored(7, 0.785, 163_784),
    scored(4, 0.767, 4_229),
    scored(0, 0.725, 770),
]


def test_a_metric_that_the_front_does_not_have_is_refused() -> None:
    """With the place in the query and the metrics that there are."""
    with pytest.raises(InvalidChoice) as caught:
        choose(OBJECTIVES, FRONT, query(at_most=["latency_ms:9", "taste:3"]))
    (error,) = caught.value.errors
    assert error.pointer == "query:/at_most/1"
    assert "score, trainable_parameters, latency_ms" in error.detail


def test_weights_are_for_objectives_alone() -> None:
    """A metric that is measured but no objective has no range to weigh."""
    with pytest.raises(InvalidChoice, match="no objective of this study's front"):
        choose(OBJECTIVES, FRONT, query(weights=["latency_ms:1"]))


def test_bounds_that_nothing_keeps_name_the_nearest_miss() -> None:
    """Nearest on the front's own scale, logarithmic for counts."""
    with pytest.raises(NoPointWithinBounds) as caught:
        choose(OBJECTIVES, FRONT, query(at_most=["trainable_parameters:5000"], at_least=["score:0.78"]))
    assert caught.value.detail == (
        "No point of the front has trainable parameters at most 5,000 and score at least 0.78. "
        "The nearest is trial 4: score 0.767."
    )


def test_the_best_within_bounds_is_chosen() -> None:
    """The reason counts who keeps the bound and says how close the chosen one comes."""
    choice = choose(OBJECTIVES, FRONT, query(at_most=["trainable_parameters:5e3"]))
    assert choice.position == 1
    assert choice.reason == (
        "Trial 4 has the best score, 0.767, of the 2 of 3 points of the front with trainable parameters "
        "at most 5,000 (it has 4,229)."
    )


def test_of_a_single_point_nothing_is_weighed() -> None:
    """It is the answer to every rule."""
    for asked in ({}, {"weights": ["score:1"]}, {"at_least": ["score:0.1"]}):
        assert choose(OBJECTIVES, FRONT[:1], query(**asked)).position == 0
    assert "only point" in choose(OBJECTIVES, FRONT[:1], query()).reason


def test_two_points_have_no_clear_knee() -> None:
    """Both are ends: nothing is chosen, and the answer has the ranges and a bound that half of them keep."""
    choice = choose(OBJECTIVES, FRONT[::2], query())
    assert choice.position is None
    assert choice.reason == (
        "No trial is recommended, for the front has no clear knee: none lies beyond what joins its ends, off "
        "the worst of each objective. From worst to best it spans score 0.725 to 0.785 and trainable "
        "parameters 163,784 to 770. Choose by bounds, such as at_most=trainable_parameters:163784, or take "
        "the best in score: weights=score:1."
    )
    assert choose(OBJECTIVES, FRONT[::2], query(weights=["score:1"])).position is not None


def test_the_worst_of_an_objective_is_no_knee() -> None:
    """Of three objectives, a point may bulge and still be the worst of one: it had the largest sum."""
    objectives = (*OBJECTIVES, LATENCY)
    front = [
        point(0, score=0.912, trainable_parameters=1e6, latency_ms=9.0),
        point(1, score=0.604, trainable_parameters=1e2, latency_ms=1.0),
        point(2, score=0.85, trainable_parameters=1e5, latency_ms=6.0),
    ]
    assert shares(objectives, front).sum(axis=1).argmax() == 1
    assert choose(objectives, front, query()).position == 2


def test_a_knee_lies_above_the_head_alone() -> None:
    """A point that the head alone reaches is passed over, and where no other bends, nothing is chosen."""
    front = [scored(0, 0.9, 1e6), scored(1, 0.8, 3e3), scored(2, 0.78, 1e3), scored(3, 0.5, 1e2)]
    assert choose(OBJECTIVES, front, query()).position == 2
    assert choose(OBJECTIVES, front, query(), floor=Floor("score", 0.78)).position == 1
    choice = choose(OBJECTIVES, front, query(), floor=Floor("score", 0.8))
    assert choice.position is None
    assert "better in score than the head alone (0.8)" in choice.reason


def test_equal_points_are_as_good_as_one() -> None:
    """The oldest is chosen."""
    assert choose(OBJECTIVES, [scored(3, 0.8, 1e3), scored(1, 0.8, 1e3)], query()).position == 1


def test_a_proposed_bound_keeps_half_of_the_front() -> None:
    """It is written so that the query reads it back exactly; the first objective has none."""
    values = [0.1 + 0.2, 7e22, 5.0]
    front = [point(n, score=n, latency_ms=value) for n, value in enumerate(values)]
    first, second = front_ranges((SCORE, LATENCY), front)
    assert (first.worst, first.best, first.bound) == (0, 2, None)
    assert second.bound == "at_most=latency_ms:5"
    (one,) = front_ranges((SCORE, LATENCY), front[:1])[1:]
    assert query(at_most=[str(one.bound).removeprefix("at_most=")]).bounds[0].bound == values[0]


@pytest.mark.parametrize("bent", [1.0, 3.0, 20.0])
def test_the_knee_of_a_hyperbola_is_where_its_slope_is_that_of_the_chord(bent: float) -> None:
    """Score (1 + c) x / (1 + c x) on [0, 1] turns at x = (sqrt(1 + c) - 1) / c."""
    places = [step / 400 for step in range(401)]
    curve = [
        point(step, score=(1 + bent) * x / (1 + bent * x), latency_ms=10 * x + 2)
        for step, x in enumerate(places)
    ]
    choice = choose((SCORE, LATENCY), curve, query())
    assert places[choice.position] == pytest.approx((math.sqrt(1 + bent) - 1) / bent, abs=1 / 400)


def test_the_knee_counts_parameters_by_their_logarithm() -> None:
    """A tenfold step is as long anywhere: the middle of three decades with most of the score is the knee."""
    front = [scored(0, 0.9, 1e6), scored(1, 0.88, 1e4), scored(2, 0.7, 1e2)]
    choice = choose(OBJECTIVES, front, query())
    assert choice.position == 1
    assert "90% of the range in score and 50% of the range in trainable parameters on a log" in choice.reason


def test_weights_are_shares_of_their_sum_and_of_the_fronts_range() -> None:
    """Twice the weights change nothing; 3 to 1 for the score leaves the knee for the best score."""
    front = [scored(0, 0.9, 1e6), scored(1, 0.8, 1e3), scored(2, 0.7, 1e2)]
    for weights, chosen in ((("1", "1"), 1), (("2", "2"), 1), (("3", "1"), 0), (("0", "5"), 2)):
        asked = [f"score:{weights[0]}", f"trainable_parameters:{weights[1]}"]
        assert choose(OBJECTIVES, front, query(weights=asked)).position == chosen
    reason = choose(OBJECTIVES, front, query(weights=["score:1", "trainable_parameters:1"])).reason
    assert "= 0.50 * 0.50 (score) + 0.50 * 0.75 (trainable parameters on a log scale)" in reason


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_shares_span_the_front(values: list[tuple[float, float]]) -> None:
    """From 0 to 1, and 1 for everybody where all are equal."""
    points = [point(number, score=a, latency_ms=b) for number, (a, b) in enumerate(values)]
    Z = shares((SCORE, LATENCY), points)
    assert ((Z >= 0) & (Z <= 1)).all()
    assert (Z.max(axis=0) == 1).all()


def test_the_next_better_in_each_objective_is_named_with_its_price() -> None:
    """The nearest one, not the best one; at an end there is none."""
    better, cheaper = lost_alternatives(OBJECTIVES, FRONT, 1)
    assert (better.number, better.better_in) == (7, "score")
    assert better.reason == (
        "Trial 7 has score 0.785 instead of 0.767, for trainable parameters 163,784 instead of 4,229."
    )
    assert better.differences == pytest.approx({"score": 0.018, "trainable_parameters": 159_555})
    assert (cheaper.number, cheaper.better_in) == (0, "trainable_parameters")
    assert [item.better_in for item in lost_alternatives(OBJECTIVES, FRONT, 0)] == ["trainable_parameters"]
    assert lost_alternatives(OBJECTIVES, FRONT, 0)[0].number == 4


def test_what_beats_a_default_that_stands_in_something_and_loses_in_nothing_is_named() -> None:
    """It was not sure enough to take its place."""
    better, default = scored(5, 0.81, 770), scored(0, 0.80, 770)
    (lost,) = lost_alternatives(OBJECTIVES, [better, default], 1)
    assert lost.reason == "Trial 5 has score 0.81 instead of 0.8, and is worse in nothing."


def test_an_objective_in_which_all_are_alike_makes_no_knee() -> None:
    """A hollow front has none, whatever else is the same for all."""
    hollow = [scored(0, 0.9, 100_000), scored(1, 0.72, 5_000), scored(2, 0.7, 100)]
    assert choose(OBJECTIVES, hollow, query()).position is None
    assert choose([*OBJECTIVES, LATENCY], hollow, query()).position is None


def shared(*shares: tuple[float, float, float]) -> list[Point]:
    """Points of three objectives, by their shares of the ranges; the latency is 1 ms at its best."""
    return [
        point(number, score=a, trainable_parameters=10 ** (4 - 4 * b), latency_ms=2 - c)
        for number, (a, b, c) in enumerate(shares)
    ]


@pytest.mark.parametrize(
    ("front", "position"),
    [
        ([(1, 0.5, 0.5), (0.5, 1, 0.5), (0.5, 0.5, 1), (0.6, 0.6, 0.6), (0, 0, 0)], None),
        ([(1, 0.5, 0.5), (0.5, 1, 0.5), (0.5, 0.5, 1), (0.8, 0.8, 0.8), (0, 0, 0)], 3),
        ([(1, 0.9, 0.9), (0, 1, 0), (0, 0, 1), (0.3, 0.3, 0.5)], 0),
        ([(1, 1, 0), (0, 0, 1), (0.8, 0.8, 0.8)], 2),
    ],
    ids=["hollow", "bent", "best in one and near it in the others", "best in two"],
)
def test_the_plane_of_three_objectives_goes_through_their_optima(
    front: list[tuple[float, float, float]], position: int | None
) -> None:
    """The best in one objective may be good in others, and is no knee for that alone."""
    assert choose([*OBJECTIVES, LATENCY], shared(*front), query()).position == position
