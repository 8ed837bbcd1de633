"""Every front of a study, computed anew from its events and replicates alone."""

from collections.abc import Sequence
from statistics import fmean

from api_schemas.events import EventType
from api_schemas.objectives import Objective
from service.storage.models import Event, Replicate
from tests.service.trials.brute_force import brute_force_front

Metrics = dict[str, float]


def replayed_fronts(
    objectives: list[Objective], events: Sequence[Event], replicates: Sequence[Replicate]
) -> list[tuple[str, set[str]]]:
    """Give, for each accepted result in order, whose it was and which trials stood on the front then."""
    metrics_of = {(item.trial_id, item.number): item.metrics for item in replicates}
    seeds: dict[str, list[Metrics]] = {}
    accepted: set[str] = set()
    fronts = []
    for event in events:
        trial_id = event.trial_id or ""
        counts = False
        if event.type == EventType.REPLICATE_ENDED and event.body["state"] == "SUCCEEDED":
            seeds.setdefault(trial_id, []).append(metrics_of[trial_id, event.body["replicate"]])
            counts = trial_id in accepted
        elif event.type == EventType.TRIAL_SUCCEEDED:
            accepted.add(trial_id)
            counts = True
        elif event.type == EventType.TRIAL_INFEASIBLE and trial_id in accepted:
            accepted.remove(trial_id)
            counts = True
        if counts:
            fronts.append((trial_id, _front(objectives, {item: seeds[item] for item in accepted})))
    return fronts


def _front(objectives: list[Objective], seeds: dict[str, list[Metrics]]) -> set[str]:
    trials = list(seeds)
    means = [{name: fmean(one[name] for one in seeds[item]) for name in seeds[item][0]} for item in trials]
    return {trials[position] for position in brute_force_front(objectives, means)}
