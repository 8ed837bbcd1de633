"""Whether a study races, and whether a race can decide anything in it."""

from collections.abc import Iterator

from api_schemas.errors import FieldError
from api_schemas.races import Race
from api_schemas.studies import StudyCreate, StudyKind
from service.trials.race_budget import trainings_of

LEAST_BUDGET = 16
"""Trainings from which on a study races if it says nothing about it."""

LEAST_TRAININGS = 2
"""A race is between two trials at least."""


def settled_race(request: StudyCreate) -> Race:
    """Return the race of a study: the one that it has by default where it names none."""
    if request.race is not None:
        return request.race
    is_long = request.budget.trials >= LEAST_BUDGET and request.replicates == 1
    races = request.kind is StudyKind.PEFT and is_long and _why_exact(request) is None
    return Race() if races else Race(share=0)


def race_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find a race in which no seed could change anything, or which is too short."""
    race, budget, seeds = settled_race(request), request.budget.trials, request.replicates
    if race.share == 0:
        return
    if seeds > 1:
        detail = f"every configuration gets {seeds} seeds already; a race needs 'replicates: 1'"
        yield FieldError(pointer="/race", detail=detail)
    why = _why_exact(request)
    if why is not None:
        yield FieldError(pointer="/race", detail=f"{why}, or leave the race out")
    trainings = trainings_of(race.share, budget)
    if trainings < LEAST_TRAININGS:
        detail = (
            f"a share of {race.share:g} of {budget} trials is {trainings}, and a race needs "
            f"{LEAST_TRAININGS} or more: raise the share or the budget"
        )
        yield FieldError(pointer="/race/share", detail=detail)


def _why_exact(request: StudyCreate) -> str | None:
    """Return why no seed moves a metric of a study, and what to do; None if one may."""
    custom = request.kind is StudyKind.CUSTOM
    objectives = [one.of_the_caller() if custom else one for one in request.objectives]
    if all(objective.is_known for objective in objectives):
        return "all objectives are known without a trial, so no seed changes them: add one that is measured"
    if custom and request.final_replicates == 0 and request.replicates == 1:
        return "the metrics of a custom study count as exact until it asks for seeds: set 'final_replicates'"
    return None
