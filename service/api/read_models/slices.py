"""Slices of a study's models as a client reads them. Reads; changes nothing."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.errors import FieldError
from api_schemas.slices import Slice, SliceRead
from service.api.read_models.studies import importance
from service.errors import InvalidRequest
from service.storage import queries, typed_study
from service.storage.models import StoredSlice, Study
from service.trials.slices import sliced_parameters, stored_slice

NOT_SLICED = (
    "the models are sliced along the parameters that matter most, and over pairs of the first of them"
)


def slice_read(
    session: Session, study: Study, *, objective: str | None, parameter: str | None, second: str | None
) -> SliceRead:
    """Return the slice of an objective along a parameter, or over two, as last computed.

    What is left out is the first objective, and its most important parameter. Without such a slice the answer
    has the reason, and what there is instead.

    Raises:
        InvalidRequest: If the study has no such objective or parameter, or both parameters are one.
    """
    metric = _known_objective(study, objective)
    _check_parameters(study, parameter, second)
    kept = sliced_parameters(session, study, metric=metric)
    singles = tuple(name for name, other in kept if not other)
    if not singles:
        return SliceRead(study_id=study.id, reason=_reason(session, study))
    first = parameter or next(name for name in singles if name != second)
    names = [first] if second is None else [first, second]
    stored = stored_slice(session, study, metric=metric, names=names)
    return SliceRead(
        study_id=study.id,
        observations=0 if stored is None else stored.observations,
        slice=None if stored is None else _turned(Slice.model_validate(stored.body), first=first),
        through_number=None if stored is None else _through(session, study, stored),
        parameters=singles,
        pairs=_partners(kept, first),
        reason=NOT_SLICED if stored is None else None,
    )


def _reason(session: Session, study: Study) -> str:
    known = importance(session, study)
    if known.reason is not None:
        return known.reason
    return "the models were fitted before slices were kept; they are computed with the next weighing"


def _known_objective(study: Study, objective: str | None) -> str:
    metrics = [item.metric for item in typed_study.objectives(study)]
    if objective is None:
        return metrics[0]
    if objective not in metrics:
        detail = f"The study has no objective '{objective}': it has {', '.join(metrics)}."
        raise InvalidRequest(detail, errors=[FieldError(pointer="query:objective", detail=detail)])
    return objective


def _check_parameters(study: Study, parameter: str | None, second: str | None) -> None:
    names = typed_study.search_space(study).by_name
    for pointer, name in (("query:parameter", parameter), ("query:second", second)):
        if name is not None and name not in names:
            detail = f"The search space has no parameter '{name}'."
            raise InvalidRequest(detail, errors=[FieldError(pointer=pointer, detail=detail)])
    if second is not None and second == parameter:
        detail = "The second parameter is the first again: name another one, or leave it out."
        raise InvalidRequest(detail, errors=[FieldError(pointer="query:second", detail=detail)])


def _partners(kept: Sequence[tuple[str, str]], name: str) -> tuple[str, ...]:
    pairs = [pair for pair in kept if pair[1] and name in pair]
    return tuple(other if one == name else one for one, other in pairs)


def _turned(found: Slice, *, first: str) -> Slice:
    """Return a slice over two parameters with the one that was asked for first as the first."""
    if found.parameter == first or found.second is None:
        return found
    across, rows = len(found.values), len(found.second_values)

    def transposed(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(values[row * across + column] for column in range(across) for row in range(rows))

    return found.model_copy(
        update={
            "parameter": found.second,
            "second": found.parameter,
            "values": found.second_values,
            "second_values": found.values,
            "means": transposed(found.means),
            "lower": transposed(found.lower),
            "upper": transposed(found.upper),
        }
    )


def _through(session: Session, study: Study, stored: StoredSlice) -> int | None:
    return queries.number_of(session, study.id, parameters=stored.body["through"])
