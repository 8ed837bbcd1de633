"""Settle from which former studies a posted one may learn."""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy.orm import Session

from api_schemas.errors import FieldError
from api_schemas.objectives import Objective
from service.errors import InvalidStudy, NotFound
from service.storage import queries, typed_study
from service.storage.models import Study
from service.studies.parameter_mapping import shared_parameters
from service.studies.validation import ValidStudy

AUTOMATIC = 5
"""Studies that `auto` takes at most."""

LOOKED_THROUGH = 100
"""Ended studies, newest first, among which `auto` looks for them."""


def with_former_studies(session: Session, valid: ValidStudy, *, tenant_id: str) -> ValidStudy:
    """Check the studies to learn from, or find them.

    Raises:
        InvalidStudy: If one is not the tenant's, or searches nothing that this one searches.
    """
    settings = valid.request.proposals
    if settings.warm_start is None:
        return valid
    if settings.warm_start.studies == "auto":
        studies = _most_recent(session, valid, tenant_id=tenant_id)
    else:
        studies = tuple(dict.fromkeys(settings.warm_start.studies))
        errors = list(_errors(session, valid, settings.warm_start.studies, tenant_id=tenant_id))
        if errors:
            raise InvalidStudy("The study cannot learn from these studies; `errors` says why.", errors=errors)
    warm_start = settings.warm_start.model_copy(update={"studies": studies})
    proposals = settings.model_copy(update={"warm_start": warm_start})
    return replace(valid, request=valid.request.model_copy(update={"proposals": proposals}))


def _most_recent(session: Session, valid: ValidStudy, *, tenant_id: str) -> tuple[str, ...]:
    wanted = valid.request.objectives[0]
    ended = queries.ended_studies(session, tenant_id=tenant_id, limit=LOOKED_THROUGH)
    alike = [study.id for study in ended if _overlaps(study, valid) and _same_goal(study, wanted)]
    return tuple(alike[:AUTOMATIC])


def _errors(
    session: Session, valid: ValidStudy, study_ids: Iterable[str], *, tenant_id: str
) -> Iterable[FieldError]:
    for position, study_id in enumerate(study_ids):
        pointer = f"/proposals/warm_start/studies/{position}"
        try:
            study = queries.get_study(session, study_id, tenant_id=tenant_id)
        except NotFound as error:
            yield FieldError(pointer=pointer, detail=error.detail)
            continue
        if not _overlaps(study, valid):
            yield FieldError(
                pointer=pointer, detail=f"'{study_id}' searches no parameter that this one searches"
            )


def _overlaps(study: Study, valid: ValidStudy) -> bool:
    return bool(shared_parameters(typed_study.search_space(study), valid.search_space))


def _same_goal(study: Study, wanted: Objective) -> bool:
    first = typed_study.objectives(study)[0]
    return (first.metric, first.direction) == (wanted.metric, wanted.direction)
