"""Slices of a study's models, kept as the study worker computed them. Knows no model."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from api_schemas.slices import Slice
from service.storage.models import StoredSlice, Study


def record_slices(session: Session, study: Study, slices: Sequence[Slice], *, observations: int) -> None:
    """Store a study's slices in place of older ones, under its row lock."""
    session.execute(delete(StoredSlice).where(StoredSlice.study_id == study.id))
    rows = [
        {
            "study_id": study.id,
            "metric": one.metric,
            "parameter": one.parameter,
            "second": one.second or "",
            "position": position,
            "observations": observations,
            "body": one.model_dump(mode="json"),
        }
        for position, one in enumerate(slices)
    ]
    if rows:
        session.execute(insert(StoredSlice), rows)


def stored_slice(session: Session, study: Study, *, metric: str, names: Sequence[str]) -> StoredSlice | None:
    """Read the slice of an objective along one parameter, or over two in either order; None without one."""
    if len(names) == 1:
        return session.get(StoredSlice, (study.id, metric, names[0], ""))
    one, other = names
    return session.get(StoredSlice, (study.id, metric, one, other)) or session.get(
        StoredSlice, (study.id, metric, other, one)
    )


def sliced_parameters(session: Session, study: Study, *, metric: str) -> list[tuple[str, str]]:
    """Return along what an objective is sliced, the most important first: a parameter, and a second or ""."""
    query = (
        select(StoredSlice.parameter, StoredSlice.second)
        .where(StoredSlice.study_id == study.id, StoredSlice.metric == metric)
        .order_by(StoredSlice.position)
    )
    return [(parameter, second) for parameter, second in session.execute(query)]
