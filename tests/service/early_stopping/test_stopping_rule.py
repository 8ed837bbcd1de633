"""A trial is stopped when it hardly can add hypervolume, and never for want of knowledge."""

import random

import pytest

from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.studies import EarlyStopping
from service.early_stopping.stopping_rule import Curve, Reason, judge, threshold

SCORE = Objective.model_validate({"metric": "score", "direction": "maximize"})
COST = Objective.model_validate({"metric": "trainable_parameters", "direction": "minimize"})
SPEED = Objective.model_validate({"metric": "latency_ms", "direction": "minimize"})


def curve(final: float, *, cost: float = 1000, points: int = 4, ended: bool = True, seed: int = 0) -> Curve:
    """A curve that approaches its final score; its losses tell where it goes."""
    rng = random.Random(seed)
    measured = [
        {
            "share": number / 4,
            "score": 0.5 + (final - 0.5) * number / 4 + rng.gauss(0, 0.003),
            "loss": 1 - final,
            "train_loss": 1 - final + rng.gauss(0, 0.003),
            "trainable_parameters": cost,
            "latency_ms": 5.0,
        }
        for number in range(1, points + 1)
    ]
    return Curve(measured, {**measured[-1], "score": final} if ended else None)


def others(count: int = 16, **changes: float) -> list[Curve]:
    rng = random.Random(1)
    return [curve(rng.uniform(0.6, 0.8), seed=number, **changes) for number in range(count)]  # type: ignore[arg-type]


def verdict(own: Curve, finished: list[Curve], **changes: object) -> object:
    settings = {
        "objectives": (SCORE, COST),
        "constraints": (),
        "reference_point": (0.5, 1e6),
        "rule": EarlyStopping.HYPERVOLUME,
        **changes,
    }
    return judge(own, finished, **settings)  # type: ignore[arg-type]


HOPELESS = curve(0.55, points=2, ended=False)
PROMISING = curve(0.85, points=2, ended=False)


@pytest.mark.parametrize("rule", [EarlyStopping.HYPERVOLUME, EarlyStopping.RANK])
def test_a_hopeless_trial_is_stopped_and_a_promising_one_is_not(rule: EarlyStopping) -> None:
    """By either rule, at half of the training."""
    assert verdict(HOPELESS, others(), rule=rule).stop  # type: ignore[attr-defined]
    assert not verdict(PROMISING, others(), rule=rule).stop  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("own", "finished", "changes"),
    [
        (HOPELESS, others(7), {}),
        (HOPELESS, others(), {"rule": EarlyStopping.NEVER}),
        (curve(0.55, points=4, ended=False), others(), {}),
        (curve(0.55, points=1, ended=False), others(), {"rule": EarlyStopping.RANK}),
    ],
    ids=["few finished", "never", "already at its end", "too soon for a rank"],
)
def test_what_is_never_stopped(own: Curve, finished: list[Curve], changes: dict[str, object]) -> None:
    """Nothing is predicted either."""
    found = verdict(own, finished, **changes)
    assert not found.stop  # type: ignore[attr-defined]
    assert found.prediction is None  # type: ignore[attr-defined]


def test_a_cheap_trial_goes_on_whatever_its_score() -> None:
    """Nothing finished is as cheap, so any score above the reference adds hypervolume."""
    assert not verdict(curve(0.6, cost=10, points=2, ended=False), others()).stop  # type: ignore[attr-defined]


def test_a_trial_beyond_the_reference_point_is_stopped() -> None:
    """With more parameters than the reference it cannot add anything."""
    found = verdict(curve(0.9, cost=2e6, points=2, ended=False), others())
    assert (found.stop, found.chance) == (True, 0.0)  # type: ignore[attr-defined]


def test_the_threshold_is_the_best_score_that_costs_no_more() -> None:
    """Of two objectives beside the score both must be as good; limits count, and so does the reference."""
    finished = [
        {"score": 0.9, "trainable_parameters": 5000, "latency_ms": 1},
        {"score": 0.8, "trainable_parameters": 1000, "latency_ms": 9},
        {"score": 0.7, "trainable_parameters": 1000, "latency_ms": 5},
    ]
    own = {"trainable_parameters": 1000, "latency_ms": 6}
    settings = {"objectives": (SCORE, COST, SPEED), "reference_point": (0.5, 1e6, 100)}

    def at(*limits: dict[str, object]) -> float:
        limit = [OutcomeConstraint.model_validate(item) for item in limits]
        return threshold(own, finished, constraints=limit, **settings)  # type: ignore[arg-type]

    assert at() == 0.7
    assert at({"metric": "score", "op": ">=", "bound": 0.75}) == 0.75
    assert at({"metric": "latency_ms", "op": "<=", "bound": 5.5}) == float("inf")
    assert threshold(own, [], constraints=(), **settings) == 0.5  # type: ignore[arg-type]


def test_predictions_that_do_not_hold_give_way_to_ranks() -> None:
    """Where one curve ended absurdly far from what it showed, ranks decide."""
    broken = others()
    broken[0] = Curve(broken[0].measurements, {**broken[0].measurements[-1], "score": -40.0})
    found = verdict(HOPELESS, broken)
    assert (found.stop, found.reason) == (True, Reason.RANK)  # type: ignore[attr-defined]


def test_without_a_score_to_maximise_ranks_decide() -> None:
    """Two costs alone: the slow and large one is behind."""
    found = verdict(HOPELESS, others(), objectives=(COST, SPEED), reference_point=None)
    assert found.reason is Reason.RANK  # type: ignore[attr-defined]
    assert not found.stop  # type: ignore[attr-defined]
