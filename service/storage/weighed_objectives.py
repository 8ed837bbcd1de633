"""The objectives of a stored study. In a custom study the names of metrics mean nothing."""

from api_schemas.objectives import Objective
from api_schemas.studies import StudyKind
from service.storage.models import Study


def objectives_of(study: Study) -> tuple[Objective, ...]:
    """Return what a study weighs; those of a custom study say that they are the caller's."""
    found = tuple(Objective.model_validate(item) for item in study.objectives)
    if study.kind == StudyKind.CUSTOM:
        return tuple(objective.of_the_caller() for objective in found)
    return found
