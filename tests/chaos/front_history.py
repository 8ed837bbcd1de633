"""The stored fronts of a study against those that follow from its results, by brute force.

Pure functions over rows; shares nothing with the service.
"""

from collections.abc import Iterator
from itertools import zip_longest
from math import isclose
from statistics import fmean
from typing import Any

from api_schemas.objectives import Objective
from service.storage.models import Event, StoredFront, Study
from tests.chaos.history import History

Metrics = dict[str, float]


def fronts_equal_recomputed_ones(history: History) -> Iterator[str]:
    """Each accepted result stores one front, with the trials that no other dominates and their volume."""
    expected = list(_replayed(history))
    for place, (front, due) in enumerate(zip_longest(history.fronts, expected), start=1):
        if front is None or due is None:
            yield f"{len(history.fronts)} fronts are stored, and {len(expected)} results were accepted"
            return
        trial_id, results = due
        members = _members(history.study, results)
        if front.trial_id != trial_id:
            yield f"front {place} names {front.trial_id}, and the result was that of {trial_id}"
        if set(front.member_trial_ids) != members or len(front.member_trial_ids) != len(members):
            yield f"front {place} is {sorted(front.member_trial_ids)}, and should be {sorted(members)}"
        else:
            yield from _wrong_hypervolume(history.study, front, [results[member] for member in members])


def fronts_are_told(history: History) -> Iterator[str]:
    """Each stored front has its event, in order."""
    told = [event.body["sequence"] for event in history.events if event.type == "front.stored"]
    stored = [front.sequence for front in history.fronts]
    if told != stored:
        yield f"fronts {stored} are stored, and events tell {told}"


def _replayed(history: History) -> Iterator[tuple[str, dict[str, Metrics]]]:
    """Give, for each front that was due, whose result it was and the mean metrics of all accepted trials."""
    told = _told_metrics(history)
    seeds = _imported_seeds(history, told)
    accepted: set[str] = set()
    imported: str | None = None
    for event in history.events:
        trial_id, is_due = event.trial_id or "", False
        if event.type == "front.stored" and imported is not None:
            # All results of one import make one front, which names the last.
            trial_id, imported, is_due = imported, None, True
        elif event.type == "trial.imported" and event.body["state"] == "SUCCEEDED":
            accepted.add(trial_id)
            imported = trial_id
        elif event.type == "replicate.ended" and event.body["state"] == "SUCCEEDED":
            number = event.body["replicate"]
            seeds.setdefault(trial_id, {})[number] = told[trial_id, number]
            is_due = trial_id in accepted
        elif event.type == "trial.succeeded":
            accepted.add(trial_id)
            is_due = True
        elif event.type == "trial.infeasible" and trial_id in accepted:
            accepted.remove(trial_id)
            is_due = True
        elif event.type == "trial.corrected":
            is_due = _correct(event, seeds.setdefault(trial_id, {}), accepted)
        if is_due:
            yield trial_id, {one: _mean([*seeds[one].values()]) for one in accepted if seeds.get(one)}


def _correct(event: Event, seeds: dict[int, Metrics], accepted: set[str]) -> bool:
    """Put the corrected result of a seed in the place of the one before; say whether a front is due."""
    trial_id, number = event.trial_id or "", event.body["replicate"]
    seeds.pop(number, None)
    if event.body["state"] == "SUCCEEDED":
        seeds[number] = event.body["metrics"]
    was_accepted = trial_id in accepted
    accepted.discard(trial_id)
    if event.body["trial_state"] == "SUCCEEDED":
        accepted.add(trial_id)
    return was_accepted or trial_id in accepted


def _told_metrics(history: History) -> dict[tuple[str, int], Metrics]:
    """Give what each seed yielded when it ended: its row has what came of later corrections."""
    told = {(row.trial_id, row.number): row.metrics for row in history.replicates}
    for event in reversed(history.events):
        if event.type == "trial.corrected":
            told[event.trial_id or "", event.body["replicate"]] = event.body["before"]["metrics"]
    return told


def _imported_seeds(history: History, told: dict[tuple[str, int], Metrics]) -> dict[str, dict[int, Metrics]]:
    ended_here = {
        (event.trial_id, event.body["replicate"])
        for event in history.events
        if event.type == "replicate.ended"
    }
    first = {
        (event.trial_id, event.body["replicate"]): event.body["before"]["state"]
        for event in reversed(history.events)
        if event.type == "trial.corrected"
    }
    seeds: dict[str, dict[int, Metrics]] = {}
    for row in history.replicates:
        seed = (row.trial_id, row.number)
        came_along = row.trial_id in history.imported and seed not in ended_here
        if came_along and first.get(seed, row.state) == "SUCCEEDED":
            seeds.setdefault(row.trial_id, {})[row.number] = told[seed]
    return seeds


def _mean(seeds: list[Metrics]) -> Metrics:
    return {name: fmean(one[name] for one in seeds) for name in seeds[0]}


def _members(study: Study, results: dict[str, Metrics]) -> set[str]:
    feasible = {
        trial_id: _costs(study, metrics)
        for trial_id, metrics in results.items()
        if all(_holds(constraint, metrics) for constraint in study.constraints)
    }
    return {
        trial_id
        for trial_id, mine in feasible.items()
        if not any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in feasible.values()
        )
    }


def _holds(constraint: dict[str, Any], metrics: Metrics) -> bool:
    value, bound = metrics[constraint["metric"]], constraint["bound"]
    return value <= bound if constraint["op"] == "<=" else value >= bound


def _costs(study: Study, metrics: Metrics) -> tuple[float, ...]:
    return tuple(
        -metrics[item["metric"]] if item["direction"] == "maximize" else metrics[item["metric"]]
        for item in study.objectives
    )


def _wrong_hypervolume(study: Study, front: StoredFront, members: list[Metrics]) -> Iterator[str]:
    """Measure the area of two objectives strip by strip; more of them have no simple sum."""
    is_log = any(Objective.model_validate(item).is_log for item in study.objectives)
    if front.reference_point is None or len(study.objectives) != 2 or is_log:
        return
    names = [item["metric"] for item in study.objectives]
    right, top = _costs(study, dict(zip(names, front.reference_point, strict=True)))
    area = 0.0
    for x, y in sorted(_costs(study, metrics) for metrics in members):
        if x < right and y < top:
            area += (right - x) * (top - y)
            top = y
    if not isclose(area, front.hypervolume or 0.0, rel_tol=1e-9, abs_tol=1e-12):
        yield f"front {front.sequence} says volume {front.hypervolume}, and it is {area}"
