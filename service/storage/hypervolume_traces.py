"""The course of the hypervolume of many studies at once, as a few points each. Reads; changes nothing."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ARRAY, Integer, String, func, literal, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from service.storage.models import StoredFront, Study

POINTS = 16


def hypervolume_traces(session: Session, studies: Sequence[Study]) -> dict[str, tuple[float | None, ...]]:
    """Return the hypervolume after evenly spaced results of each study that has some, the last among them.

    A point costs one look into an index, however many fronts are stored.
    """
    asked = [(study.id, after) for study in studies for after in evenly_spaced(study.front_sequence)]
    given = func.unnest(
        literal([study_id for study_id, _ in asked], ARRAY(String)),
        literal([after for _, after in asked], ARRAY(Integer)),
    )
    points = given.table_valued("study_id", "after", name="points").render_derived()
    # Imports leave gaps: what is stored last before a point holds there.
    front = (
        select(StoredFront.hypervolume)
        .where(StoredFront.study_id == points.c.study_id, StoredFront.sequence <= points.c.after)
        .order_by(StoredFront.sequence.desc())
        .limit(1)
        .lateral("front")
    )
    trace = func.array_agg(aggregate_order_by(front.c.hypervolume, points.c.after))
    query = (
        select(points.c.study_id, trace).select_from(points.join(front, true())).group_by(points.c.study_id)
    )
    return {study_id: tuple(found) for study_id, found in session.execute(query)}


def evenly_spaced(results: int) -> Iterator[int]:
    """Return all numbers from 1 to the last, or some of them at even distances, the last among them."""
    count = min(results, POINTS)
    return (results * place // count for place in range(1, count + 1))
