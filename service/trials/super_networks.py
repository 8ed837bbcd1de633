"""The super-network of a study: which worker trains it, what it scored, and what trials say of the scores.

It is trained once, by the worker that claims the study's first trial and before that trial, under the
trial's lease; where the worker is lost or stops, the next one that claims a trial begins again. Its scores
choose starting points and are no results. Each function runs in the caller's transaction under the study's
row lock.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from statistics import correlation
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.architecture import Architecture, sub_network_key
from api_schemas.backbones import BackboneShape
from api_schemas.events import EventType
from api_schemas.objectives import Metric
from api_schemas.one_shot import Holder, OneShotNetwork, OneShotRun, SuperNetworkOrder
from api_schemas.trial_configuration import patch
from api_schemas.trials import TrialState
from service.storage import queries, typed_study
from service.storage.event_log import record_event
from service.storage.models import Study, Trial
from service.trials import lifecycle, replication, study_lifecycle

STARTING_POINTS = 5
"""How many sub-networks of the front of score and cost are trained alone, at most."""

LOST_AT_MOST = 2
"""Workers that fall silent over a super-network before it is given up: one less than a trial has attempts."""


def take_order(session: Session, study: Study, trial: Trial, *, attempt: int) -> SuperNetworkOrder | None:
    """Return what the attempt that has just begun is to train first; None if nothing is, or another does."""
    run = typed_study.one_shot(study)
    if run is None or not run.is_open or _is_held(session, study, run):
        return None
    if run.holder is not None:
        run = run.model_copy(update={"lost": run.lost + 1, "holder": None})
        if run.lost >= LOST_AT_MOST:
            fail(
                session, study, run, reason=f"{run.lost} workers fell silent while they trained its network."
            )
            return None
    holder = Holder(trial_id=trial.id, attempt=attempt)
    _store(study, run.model_copy(update={"holder": holder}))
    return SuperNetworkOrder(
        configuration=run.configuration,
        networks=tuple(network.architecture for network in run.networks),
        smallest=run.smallest,
    )


def let_go(study: Study, trial: Trial, *, attempt: int) -> None:
    """Note that a worker gives back the trial before which it may have had a super-network to train."""
    run = typed_study.one_shot(study)
    if run is not None and run.is_open and run.holder == Holder(trial_id=trial.id, attempt=attempt):
        _store(study, run.model_copy(update={"holder": None}))


def record_scores(
    session: Session, study: Study, trial: Trial, *, attempt: int, scores: Sequence[float], seconds: float
) -> None:
    """Store what a super-network scored; the best along the front become starting points. Once.

    Raises:
        StaleAttempt: If another attempt has the trial.
    """
    lifecycle.active_replicate(session, study, trial, attempt=attempt)
    run = typed_study.one_shot(study)
    if run is None or not run.is_open:
        return
    points = [network.parameters for network in best_of(run, scores, tried=_tried(study))]
    update = {"scores": tuple(scores), "seconds": seconds, "holder": None, "starting_points": tuple(points)}
    _store(study, run.model_copy(update=update))
    study_lifecycle.add_starting_points(session, study, points, place=run.place)
    record_event(session, study, EventType.ONE_SHOT_SCORED, starting_points=len(points), seconds=seconds)


def give_up(session: Session, study: Study, trial: Trial, *, attempt: int, reason: str) -> None:
    """Note that a super-network cannot be trained: the study goes on without it. Once.

    Raises:
        StaleAttempt: If another attempt has the trial.
    """
    lifecycle.active_replicate(session, study, trial, attempt=attempt)
    run = typed_study.one_shot(study)
    if run is not None and run.is_open:
        fail(session, study, run, reason=reason)


def fail(session: Session, study: Study, run: OneShotRun, *, reason: str) -> None:
    """End a super-network without scores; the budget gets back what was kept for it."""
    _store(study, run.model_copy(update={"reason": reason, "holder": None, "trainings": 0}))
    study_lifecycle.give_budget_back(session, study, trainings=run.trainings)
    record_event(session, study, EventType.ONE_SHOT_FAILED, reason=reason)


def compare(session: Session, study_id: str) -> None:
    """Store how well the scores rank the sub-networks that were trained alone by now."""
    unlocked = session.get(Study, study_id)
    if unlocked is None or unlocked.one_shot is None:
        return
    study = queries.lock_study(session, study_id)
    if study is None:
        return
    run, shape = typed_study.one_shot(study), typed_study.backbone_shape(study)
    if run is None or run.scores is None or shape is None:
        return
    alone = _best_scores(session, study, shape)
    pairs = [
        (score, alone[key])
        for network, score in zip(run.networks, run.scores, strict=True)
        if (key := _key(network)) in alone
    ]
    update: dict[str, Any] = {"compared": len(pairs), "rank_correlation": rank_correlation(pairs)}
    if update != {name: getattr(run, name) for name in update}:
        _store(study, run.model_copy(update=update))
        record_event(session, study, EventType.ONE_SHOT_COMPARED, **update)


def best_of(run: OneShotRun, scores: Sequence[float], *, tried: frozenset[str]) -> list[OneShotNetwork]:
    """Return untried networks of the front of score and cost, evenly from cheap to dear."""
    front: list[OneShotNetwork] = []
    best = -float("inf")
    # Of equal cost the best comes first.
    for score, network in sorted(
        zip(scores, run.networks, strict=True), key=lambda pair: (pair[1].cost, -pair[0])
    ):
        if score > best:
            best = score
            front.append(network)
    new = [network for network in front if _key(network) not in tried]
    count = min(STARTING_POINTS, len(new))
    return [new[round(place * (len(new) - 1) / max(1, count - 1))] for place in range(count)]


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Spearman's correlation of pairs, equal values sharing their mean rank; None without an order."""
    ranks = [_ranks(column) for column in zip(*pairs, strict=True)]
    if len(pairs) < 2 or any(len(set(column)) < 2 for column in ranks):
        return None
    return round(correlation(*ranks), 4)


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [bisect_left(ordered, value) + (ordered.count(value) - 1) / 2 for value in values]


def _is_held(session: Session, study: Study, run: OneShotRun) -> bool:
    if run.holder is None:
        return False
    trial = queries.get_trial(session, study.id, run.holder.trial_id)
    held = replication.of_attempt(trial, run.holder.attempt)
    return held is not None and held.state is TrialState.RUNNING


def _best_scores(session: Session, study: Study, shape: BackboneShape) -> Mapping[str, float]:
    """Return the best validation score of each sub-network that a trial of the study kept."""
    best: dict[str, float] = {}
    for key, score in _measured(session, study, shape):
        best[key] = max(score, best.get(key, score))
    return best


def _measured(session: Session, study: Study, shape: BackboneShape) -> Iterator[tuple[str, float]]:
    query = select(Trial.configuration["architecture"], Trial.metrics[Metric.SCORE.value].as_float())
    for kept, score in session.execute(
        query.where(Trial.study_id == study.id, Trial.state == TrialState.SUCCEEDED)
    ):
        if score is not None:
            yield sub_network_key(None if kept is None else Architecture.model_validate(kept), shape), score


def _tried(study: Study) -> frozenset[str]:
    base, shape = typed_study.configuration(study), typed_study.backbone_shape(study)
    assert base is not None and shape is not None  # noqa: S101, PT018  a study with a super-network has both
    tried = (patch(base, point).architecture for point in study.starting_points)
    return frozenset(sub_network_key(architecture, shape) for architecture in tried)


def _key(network: OneShotNetwork) -> str:
    # A run's networks are canonical already, so no shape is needed.
    return sub_network_key(network.architecture, None)


def _store(study: Study, run: OneShotRun) -> None:
    study.one_shot = run.model_dump(mode="json")
