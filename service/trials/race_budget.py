"""What of a study's budget its search and its race may still spend. Arithmetic on the study's row; no SQL.

The budget counts trainings: a trial is one, and so is each further seed of the race and of the first trials.
Of a budget of B, a race with the share s has floor(s B) and the search the rest. The caller holds the study's
lock where it changes something.
"""

import math

from api_schemas.races import RaceProgress
from service.storage import typed_study
from service.storage.models import Study

ROUNDING = 1e-9
"""So that a share of .29 of 100 trainings is 29 of them."""

NOISE_PROBES = 2
SEEDS_OF_A_PROBE = 3
LEAST_SEARCH = 12
"""Trainings of the search from which on some of them measure the noise: half of them at most."""


def trainings_of(share: float, budget: int) -> int:
    """Return how many trainings of a budget a race with a share of it has."""
    return math.floor(share * budget + ROUNDING)


def progress(study: Study) -> RaceProgress:
    """Return where the race of a study stands, also before it has begun."""
    return typed_study.race_progress(study) or RaceProgress()


def record(study: Study, to: RaceProgress) -> None:
    """Store where the race of a study stands."""
    study.race_progress = to.model_dump(mode="json")


def left_for_search(study: Study) -> int:
    """Return how many trainings the search may still begin; none after it has been ended."""
    now = progress(study)
    if now.search_ended is not None:
        return 0
    searched = study.trials_created - now.trainings
    return max(0, min(_part_of_search(study) - searched, study.trial_budget - study.trials_created))


def noise_probes(study: Study) -> int:
    """Return how many of the first starting points of a study get `SEEDS_OF_A_PROBE` seeds."""
    run = typed_study.one_shot(study)
    trainings = _part_of_search(study) - (0 if run is None else run.trainings)
    return NOISE_PROBES if study.race_share > 0 and trainings >= LEAST_SEARCH else 0


def left_for_race(study: Study) -> int:
    """Return how many trainings the race may still begin."""
    part = trainings_of(study.race_share, study.trial_budget)
    return max(0, min(part - progress(study).trainings, study.trial_budget - study.trials_created))


def is_pending(study: Study) -> bool:
    """Return whether a study has a race that is not over."""
    return study.race_share > 0 and not progress(study).is_over


def is_spent(study: Study) -> bool:
    """Return whether a study will begin no further training of its budget."""
    if study.race_share > 0:
        return progress(study).is_over
    return study.trials_created == study.trial_budget


def end_search(study: Study, *, reason: str) -> None:
    """Let the race begin although the search has not spent its part."""
    record(study, progress(study).model_copy(update={"search_ended": reason}))


def search_on(study: Study) -> None:
    """Let the search go on with a larger budget: there may be better trials to race."""
    if study.race_progress is not None:
        former = progress(study)
        record(study, RaceProgress(rounds=former.rounds, trainings=former.trainings))


def _part_of_search(study: Study) -> int:
    return study.trial_budget - trainings_of(study.race_share, study.trial_budget)
