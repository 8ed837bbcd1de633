"""A study's super-network: trained once, before a trial; what it scores is judged by trials."""

from typing import Any

import pytest
from sqlalchemy import select

from api_schemas.one_shot import OneShotRead, OneShotState, SuperNetworkOrder
from api_schemas.trials import ClaimedTrial, TrialReport, TrialState
from service import study_worker
from service.api.read_models.studies import study_read
from service.errors import StaleAttempt
from service.storage.database import transaction
from service.storage.models import Study, Trial
from service.trials import leases, sweeper
from service.trials.super_networks import LOST_AT_MOST, compare, rank_correlation
from tests.service.trials.test_leases import expire_all_leases, stored_study

pytestmark = pytest.mark.usefixtures("service_environment")

BUDGET = 12
SMALLER: dict[str, Any] = {
    "search_space": {"preset": "depth"},
    "objectives": [
        {"metric": "score", "direction": "maximize"},
        {"metric": "flops", "direction": "minimize"},
    ],
    "proposals": {"one_shot": {"epochs": 1}},
}


def a_study(trials: int = 2, **changes: Any) -> str:
    return stored_study(trials=trials, budget=BUDGET, **{**SMALLER, **changes})


def claim() -> tuple[ClaimedTrial, SuperNetworkOrder | None]:
    claimed = leases.claim("w")
    assert claimed is not None
    return claimed, claimed.super_network


def read(study_id: str) -> tuple[OneShotRead, int]:
    with transaction() as session:
        study = study_read(session, session.get_one(Study, study_id))
    assert study.one_shot is not None
    return study.one_shot, study.budget_spent


def by_depth(order: SuperNetworkOrder) -> list[float]:
    return [1.0 if kept is None else kept.keep_layers / 10 for kept in order.networks]


def test_scores_of_an_attempt_that_lost_its_trial_are_dropped() -> None:
    """Another worker trains the network by then."""
    study_id = a_study(trials=1)
    late, order = claim()
    assert order is not None
    leases.release(late.trial_id, late.attempt)
    assert claim()[1] is not None
    with pytest.raises(StaleAttempt):
        leases.record_one_shot(late.trial_id, late.attempt, by_depth(order), seconds=1.0)
    assert read(study_id)[0].state is OneShotState.PENDING


def test_a_study_that_asks_for_none_has_none() -> None:
    """Its trials come alone, and reading it says so."""
    study_id = a_study(trials=1, proposals={})
    assert claim()[1] is None
    with transaction() as session:
        assert study_read(session, session.get_one(Study, study_id)).one_shot is None
        compare(session, study_id)


def test_one_worker_at_a_time_trains_it() -> None:
    """The next trial comes alone while it is held; once it is given back, the next claim takes it."""
    a_study(parallelism=2)
    first, order = claim()
    assert order is not None
    assert order.networks[-1] is None
    assert claim()[1] is None
    leases.release(first.trial_id, first.attempt)
    again, order = claim()
    assert (again.trial_id, order is not None) == (first.trial_id, True)


def test_workers_that_fall_silent_over_it_end_it() -> None:
    """The trial keeps its last attempt, the budget what was kept, and the answer says why."""
    study_id = a_study(trials=1)
    spent = read(study_id)[1]
    kept = read(study_id)[0].trainings
    for _ in range(LOST_AT_MOST):
        assert claim()[1] is not None
        expire_all_leases()
        sweeper.sweep_once()
    assert claim()[1] is None
    found, now_spent = read(study_id)
    assert found.state is OneShotState.FAILED
    assert "2 workers fell silent" in found.detail
    assert (now_spent, found.trainings) == (spent - kept, 0)


def test_a_network_that_cannot_be_trained_is_given_up_once() -> None:
    """With the reason; scores that come after it change nothing."""
    study_id = a_study(trials=1)
    claimed, order = claim()
    assert order is not None
    for _ in range(2):
        leases.give_up_one_shot(claimed.trial_id, claimed.attempt, reason="out-of-memory: 1 GB is free.")
    leases.record_one_shot(claimed.trial_id, claimed.attempt, by_depth(order), seconds=1.0)
    found, spent = read(study_id)
    assert found.detail == "One-shot: no sub-network was scored, for out-of-memory: 1 GB is free."
    assert spent == 1


def test_the_best_along_the_front_become_starting_points() -> None:
    """Behind the baselines, none of them again; once, and the study is due for a turn."""
    study_id = a_study(trials=1)
    claimed, order = claim()
    assert order is not None
    with transaction() as session:
        study = session.get_one(Study, study_id)
        before, study.turn_due_at = list(study.starting_points), None
    for _ in range(2):
        leases.record_one_shot(claimed.trial_id, claimed.attempt, by_depth(order), seconds=2.5)
    found, _ = read(study_id)
    assert found.state is OneShotState.SCORED
    assert found.seconds == 2.5
    chosen = [
        (point["architecture.keep_layers"], point["architecture.which"]) for point in found.starting_points
    ]
    # By hand there are 6, 5 and 3 layers, the first ones; of equal scores and costs one is on the front.
    assert len(chosen) == len(set(chosen)) == 3
    assert {layers for layers, _ in chosen} == {1, 2, 4}
    with transaction() as session:
        study = session.get_one(Study, study_id)
        assert study.starting_points == [*before, *found.starting_points]
        assert study.turn_due_at is not None


def finished(claimed: ClaimedTrial, *, layers: int, score: float) -> None:
    with transaction() as session:
        trial = session.scalars(select(Trial).where(Trial.id == claimed.trial_id)).one()
        assert trial.configuration is not None
        trial.configuration = {
            **trial.configuration,
            "architecture": {"keep_layers": layers, "which": "first"},
        }
    report = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": score, "flops": 1e6 * layers})
    leases.complete(claimed.trial_id, claimed.attempt, report)


@pytest.mark.parametrize(
    ("scores", "correlation", "words"),
    [
        ([0.5, 0.6, 0.7, 0.8, 0.9], 1.0, "too few to judge"),
        ([0.9, 0.8, 0.7, 0.6, 0.5], -1.0, "too few to judge"),
        ([0.7, 0.7, 0.7, 0.7, 0.7], None, "too few were trained alone yet"),
    ],
)
def test_scores_are_compared_with_trials(scores: list[float], correlation: float | None, words: str) -> None:
    """By rank, of the sub-networks that were trained alone; five are too few to judge."""
    study_id = a_study(trials=5)
    claimed, order = claim()
    assert order is not None
    leases.record_one_shot(claimed.trial_id, claimed.attempt, by_depth(order), seconds=1.0)
    finished(claimed, layers=1, score=scores[0])
    for layers, score in enumerate(scores[1:], start=2):
        finished(claim()[0], layers=layers, score=score)
    with transaction() as session:
        compare(session, study_id)
    found, _ = read(study_id)
    assert (found.compared, found.rank_correlation, found.helped) == (5, correlation, None)
    assert words in found.detail


def test_a_turn_of_the_study_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each result, so nobody has to ask."""
    for others in ("_propose", "_believe", "_weigh_parameters"):
        monkeypatch.setattr(study_worker, others, lambda _: None)
    study_id = a_study(trials=2)
    claimed, order = claim()
    assert order is not None
    leases.record_one_shot(claimed.trial_id, claimed.attempt, by_depth(order), seconds=1.0)
    finished(claimed, layers=1, score=0.5)
    finished(claim()[0], layers=2, score=0.6)
    study_worker.advance_study(study_id)
    assert read(study_id)[0].rank_correlation == 1.0


def test_equal_values_share_their_mean_rank() -> None:
    """Ranks 1.5 1.5 3 4 5 and 4 1 2.5 2.5 5: a covariance of 5 over variances of 9.5."""
    pairs = [(0.1, 3.0), (0.1, 1.0), (0.4, 2.0), (0.7, 2.0), (0.9, 5.0)]
    assert rank_correlation(pairs) == pytest.approx(5 / 9.5, abs=1e-4)
    assert rank_correlation(pairs[:1]) is rank_correlation([]) is None
