"""Between the database and the optimiser: what a study learns from former studies, in its own parameters.

Only results that a former study had when this one was posted count, so that suggestions do not depend on
what happens to the former study later.
"""

import math
import random
from typing import TypeVar

from sqlalchemy.orm import Session

from api_schemas.objectives import Direction
from api_schemas.proposals import WarmStartMode
from api_schemas.trials import TrialState
from service.optimization.problem import MODELLED_POINTS, Observation, Source
from service.storage import queries, typed_study
from service.storage.models import Study
from service.studies.parameter_mapping import StudySpace, map_parameterizations
from service.suggestions.recorded_sources import recorded_sources
from service.trials import early_stops

Item = TypeVar("Item")

MOST_POINTS = 8
"""Pareto configurations that are run first, at most; also at most a quarter of the budget."""


def sources_of(session: Session, study: Study) -> tuple[Source, ...]:
    """Return the sources of a study: those of its warm start, or recorded trials."""
    warm_start = typed_study.proposals(study).warm_start
    if warm_start is None:
        return recorded_sources(study)
    # A study that has been deleted in the meantime is skipped.
    read = [session.get(Study, study_id) for study_id in warm_start.studies]
    former = [one for one in read if one is not None and one.tenant_id == study.tenant_id]
    if warm_start.mode is WarmStartMode.MODEL:
        return tuple(_modelled(session, study, each) for each in former)
    most = min(MOST_POINTS, math.ceil(study.trial_budget / 4))
    return tuple(
        _pareto(session, study, each, count=math.ceil((most - place) / len(former)))
        for place, each in enumerate(former[:most])
    )


def spread_over(items: list[Item], *, count: int) -> list[Item]:
    """Return `count` of the items, evenly spaced, both ends included; a single one is from the middle."""
    if len(items) <= count:
        return items
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def _modelled(session: Session, study: Study, former: Study) -> Source:
    trials = [
        trial
        for trial in queries.trials_in(session, former.id, (TrialState.SUCCEEDED, TrialState.STOPPED_EARLY))
        if trial.finished_at is not None and trial.finished_at <= study.created_at
    ]
    if len(trials) > MODELLED_POINTS:
        trials = random.Random(former.id).sample(trials, MODELLED_POINTS)  # noqa: S311  no secret
    mapped = map_parameterizations(
        [trial.parameters for trial in trials], source=_space(former), target=_space(study)
    )
    observations = [
        Observation(values, early_stops.metrics_to_learn(trial))
        for values, trial in zip(mapped, trials, strict=True)
    ]
    return Source(former.id, observations=tuple(observations))


def _pareto(session: Session, study: Study, former: Study, *, count: int) -> Source:
    front = queries.front_until(session, former.id, study.created_at)
    trials = queries.trials_by_id(session, front.member_trial_ids) if front else []
    first = typed_study.objectives(former)[0]
    trials.sort(
        key=lambda trial: (trial.metrics[first.metric], trial.number),
        reverse=first.direction is Direction.MAXIMIZE,
    )
    mapped = map_parameterizations(
        [trial.parameters for trial in spread_over(trials, count=count)],
        source=_space(former),
        target=_space(study),
    )
    return Source(former.id, starting_points=tuple(mapped))


def _space(study: Study) -> StudySpace:
    return StudySpace(
        search_space=typed_study.search_space(study),
        configuration=typed_study.configuration(study),
        backbone_shape=typed_study.backbone_shape(study),
    )
