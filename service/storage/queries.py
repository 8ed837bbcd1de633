"""Every query over studies and trials. Changes no state.

Lock order, everywhere: the study's row first, then the trial's, then the replicate's. While a
transaction holds the study's row, it reads trials, counters and front as one consistent whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ARRAY, ColumnElement, Row, Select, String, any_, exists, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager, defer

from api_schemas.search_space import Parameterization
from api_schemas.studies import (
    TERMINAL_STUDY_STATES,
    ReplicateCounts,
    StudyKind,
    StudyQuery,
    TrialCounts,
)
from api_schemas.trials import IMPORTED, TERMINAL_TRIAL_STATES, ArtifactRecord, Measurement, TrialState
from service.errors import NotFound
from service.storage.base_table import Base
from service.storage.models import Artifact, Replicate, StoredFront, Study, Trial, TrialMeasurement

Query = TypeVar("Query", bound=Select[Any])

OPEN_STATES = (TrialState.QUEUED, TrialState.RUNNING)


class OpenReplicates(NamedTuple):
    """How many replicates of a study wait and run; however many have ended, counting them costs the same."""

    queued: int
    running: int
    held: int
    """How many of those that run are a certain worker's."""


def get_study(session: Session, study_id: str, *, tenant_id: str, lock: bool = False) -> Study:
    """Read a study of the tenant.

    Raises:
        NotFound: If there is none, or it belongs to somebody else.
    """
    query = select(Study).where(Study.id == study_id, Study.tenant_id == tenant_id)
    study = session.scalar(locked(query) if lock else query)
    if study is None:
        raise NotFound(f"There is no study '{study_id}'. GET /v1/studies lists yours.")
    return study


def lock_study(session: Session, study_id: str, *, wait: bool = True) -> Study | None:
    """Take the row lock of a study, waiting for it; without `wait`, return None if it is held."""
    return session.scalar(locked(select(Study).where(Study.id == study_id), wait=wait))


def list_studies(session: Session, wanted: StudyQuery, *, tenant_id: str) -> list[Study]:
    """Read a page of the studies that are wanted, newest first."""
    query = select(Study).where(Study.tenant_id == tenant_id)
    if wanted.page_token is not None:
        query = query.where(Study.id < wanted.page_token)
    if wanted.state is not None:
        query = query.where(Study.state == wanted.state)
    if wanted.tag is not None:
        query = query.where(Study.tags.contains([wanted.tag]))
    if wanted.backbone is not None:
        query = query.where(Study.configuration["backbone"].astext == wanted.backbone)
    if wanted.text is not None:
        said = Study.display_name + "\n" + Study.notes + "\n" + Study.id
        query = query.where(said.icontains(wanted.text, autoescape=True))
    return list(session.scalars(query.order_by(Study.id.desc()).limit(wanted.page_size)))


def ended_studies(session: Session, *, tenant_id: str, limit: int) -> list[Study]:
    """Read studies that have ended with a result, newest first."""
    ended = Study.state.in_(TERMINAL_STUDY_STATES)
    query = (
        select(Study)
        .where(Study.tenant_id == tenant_id, ended, Study.front_sequence > 0)
        .order_by(Study.id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def count_trials(session: Session, study_ids: Sequence[str]) -> dict[str, TrialCounts]:
    """Count the proposed trials of each study by state, and beside them the imported ones."""
    imported = Trial.generated_by == IMPORTED
    rows = session.execute(
        select(Trial.study_id, Trial.state, imported, func.count())
        .where(Trial.study_id.in_(study_ids))
        .group_by(Trial.study_id, Trial.state, imported)
    )
    counts: dict[str, dict[str, int]] = {study_id: {} for study_id in study_ids}
    for study_id, state, is_imported, count in rows:
        kind = "imported" if is_imported else state.value.lower()
        counts[study_id][kind] = counts[study_id].get(kind, 0) + count
    return {study_id: TrialCounts(**by_state) for study_id, by_state in counts.items()}


def count_replicates(session: Session, study_ids: Sequence[str]) -> dict[str, ReplicateCounts]:
    """Count the replicates of each study that wait, run, or have ended; dropped ones count nowhere."""
    rows = session.execute(
        select(Replicate.study_id, Replicate.state, func.count())
        .where(Replicate.study_id.in_(study_ids), Replicate.state != TrialState.CANCELLED)
        .group_by(Replicate.study_id, Replicate.state)
    )
    counts = {study_id: {"queued": 0, "running": 0, "done": 0} for study_id in study_ids}
    for study_id, state, count in rows:
        counts[study_id]["done" if state in TERMINAL_TRIAL_STATES else state.value.lower()] += count
    return {study_id: ReplicateCounts(**by_kind) for study_id, by_kind in counts.items()}


def open_replicates(session: Session, study_id: str, *, worker: str | None = None) -> OpenReplicates:
    """Count the replicates of a study that wait, those that run, and of these the worker's."""
    runs = Replicate.state == TrialState.RUNNING
    row = session.execute(
        select(
            func.count().filter(Replicate.state == TrialState.QUEUED),
            func.count().filter(runs),
            func.count().filter(runs, Replicate.worker == worker),
        ).where(Replicate.study_id == study_id, Replicate.state.in_(OPEN_STATES))
    ).one()
    return OpenReplicates(*row)


def has_open_trials(session: Session, study_id: str) -> bool:
    """Return whether a trial of a study waits or runs."""
    query = select(exists().where(Trial.study_id == study_id, Trial.state.in_(OPEN_STATES)))
    return session.scalars(query).one()


def replicates_in(
    session: Session, study_id: str, states: Sequence[TrialState], *, worker: str | None = None
) -> list[Replicate]:
    """Read the replicates of a study in one of the states, all or a worker's, by trial and number."""
    query = (
        select(Replicate)
        .where(Replicate.study_id == study_id, Replicate.state.in_(states))
        .order_by(Replicate.trial_id, Replicate.number)
    )
    return list(session.scalars(query if worker is None else query.where(Replicate.worker == worker)))


def replicates_of(session: Session, trial_ids: Sequence[str]) -> dict[str, list[Replicate]]:
    """Read the replicates of each trial, by number."""
    by_trial: dict[str, list[Replicate]] = {trial_id: [] for trial_id in trial_ids}
    for row in session.scalars(
        select(Replicate)
        .where(_one_of(Replicate.trial_id, by_trial))
        .order_by(Replicate.trial_id, Replicate.number)
    ):
        by_trial[row.trial_id].append(row)
    return by_trial


def seeds_of(session: Session, study_id: str) -> dict[str, int]:
    """Count the replicates that succeeded of each trial of a study that has several."""
    rows = session.execute(
        select(Replicate.trial_id, func.count())
        .where(Replicate.study_id == study_id, Replicate.state == TrialState.SUCCEEDED)
        .group_by(Replicate.trial_id)
        .having(func.count() > 1)
    )
    return dict(rows.all())


def get_trial(session: Session, study_id: str, trial_id: str, *, lock: bool = False) -> Trial:
    """Read a trial of a study; with `lock`, as `lock_trial` does.

    Raises:
        NotFound: If the study has no such trial.
    """
    query = select(Trial).where(Trial.id == trial_id, Trial.study_id == study_id)
    trial = _with_replicates(session, query) if lock else session.scalar(query)
    if trial is None:
        raise NotFound(f"Study '{study_id}' has no trial '{trial_id}'.")
    return trial


def list_trials(
    session: Session, study_id: str, *, page_size: int | None = None, after: int = -1
) -> list[Trial]:
    """Read the trials of a study by number, from the one after `after`."""
    query = select(Trial).where(Trial.study_id == study_id, Trial.number > after).order_by(Trial.number)
    return list(session.scalars(query if page_size is None else query.limit(page_size)))


def trials_to_learn_from(session: Session, study_id: str) -> list[Trial]:
    """Read the trials of a study by number, without their wide columns: configuration and explanation."""
    wide = (Trial.configuration, Trial.explanation)
    query = select(Trial).where(Trial.study_id == study_id).order_by(Trial.number)
    return list(session.scalars(query.options(*map(defer, wide))))


def next_number(session: Session, study_id: str) -> int:
    """Return the number of a study's next trial. Its lock is held, and its trials are flushed."""
    last = session.scalar(select(func.max(Trial.number)).where(Trial.study_id == study_id))
    return 0 if last is None else last + 1


def count_in(session: Session, study_id: str, states: Sequence[TrialState]) -> int:
    """Count the trials of a study in one of the states."""
    query = select(func.count()).where(Trial.study_id == study_id, Trial.state.in_(states))
    return session.scalars(query).one()


def trials_in(session: Session, study_id: str, states: Sequence[TrialState]) -> list[Trial]:
    """Read the trials of a study in one of the states, by number."""
    query = select(Trial).where(Trial.study_id == study_id, Trial.state.in_(states)).order_by(Trial.number)
    return list(session.scalars(query))


def trials_by_id(session: Session, trial_ids: Sequence[str]) -> list[Trial]:
    """Read trials by their ids, ordered by number."""
    return list(session.scalars(select(Trial).where(_one_of(Trial.id, trial_ids)).order_by(Trial.number)))


def number_of(session: Session, study_id: str, *, parameters: Parameterization) -> int | None:
    """Return the number of the study's trial that has these parameters; None if none has."""
    query = select(Trial.number).where(Trial.study_id == study_id, Trial.parameters == parameters)
    return session.scalar(query.order_by(Trial.number).limit(1))


def trials_with_keys(session: Session, study_id: str, keys: Sequence[str]) -> dict[str, Trial]:
    """Read the trials of a study that have one of the configuration keys, by that."""
    query = select(Trial).where(Trial.study_id == study_id, _one_of(Trial.configuration_key, keys))
    return {trial.configuration_key: trial for trial in session.scalars(query)}


def training_seconds(session: Session, study_id: str) -> tuple[int, float]:
    """Return how many trainings of a study succeeded, and how many seconds they took on average."""
    seconds = func.extract("epoch", Replicate.finished_at - Replicate.started_at)
    query = select(func.count(), func.coalesce(func.avg(seconds), 0)).where(
        Replicate.study_id == study_id,
        Replicate.state == TrialState.SUCCEEDED,
        Replicate.started_at.is_not(None),
        Replicate.finished_at.is_not(None),
    )
    count, mean = session.execute(query).one()
    return count, float(mean)


def succeeded_elsewhere(session: Session, study: Study, configuration_key: str) -> list[Trial]:
    """Read the tenant's trials of other studies that succeeded with a configuration, oldest first.

    None of them can be deleted before the caller commits.
    """
    query = (
        select(Trial)
        .join(Study, Study.id == Trial.study_id)
        .where(
            Trial.configuration_key == configuration_key,
            Trial.state == TrialState.SUCCEEDED,
            Study.tenant_id == study.tenant_id,
            Study.id != study.id,
            Study.kind != StudyKind.CUSTOM,
        )
        .order_by(Trial.id)
        .with_for_update(key_share=True, read=True, of=Trial)
    )
    return list(session.scalars(query))


def study_of_trial(session: Session, trial_id: str, *, lock: bool = False, wait: bool = True) -> Study | None:
    """Read the study of a trial; with `lock` and without `wait`, return None if its lock is held."""
    query = select(Study).join(Trial, Trial.study_id == Study.id).where(Trial.id == trial_id)
    return session.scalar(locked(query, wait=wait, of=Study) if lock else query)


def lock_trial(session: Session, trial_id: str, *, wait: bool = True) -> Trial | None:
    """Take the row lock of a trial, and read its replicates with it. Its study's lock is held.

    Without `wait`, return None if somebody else holds it: a study that reuses its result, say.
    """
    return _with_replicates(session, select(Trial).where(Trial.id == trial_id), wait=wait)


def next_queued(session: Session, study_id: str) -> Trial | None:
    """Lock the first trial with a queued replicate, as `lock_trial` does."""
    first = (
        select(Replicate.trial_id)
        .join(Trial, Trial.id == Replicate.trial_id)
        .where(Replicate.study_id == study_id, Replicate.state == TrialState.QUEUED)
        .order_by(Trial.number)
        .limit(1)
    )
    return _with_replicates(session, select(Trial).where(Trial.id == first.scalar_subquery()))


def latest_front(session: Session, study: Study) -> StoredFront | None:
    """Return the front after the last accepted result."""
    return session.get(StoredFront, (study.id, study.front_sequence)) if study.front_sequence else None


def front_until(session: Session, study_id: str, moment: datetime) -> StoredFront | None:
    """Read the front after the last result that was accepted until a moment."""
    return session.scalar(
        select(StoredFront)
        .where(StoredFront.study_id == study_id, StoredFront.recorded_at <= moment)
        .order_by(StoredFront.sequence.desc())
        .limit(1)
    )


def hypervolume_records(session: Session, study_id: str) -> Sequence[Row[int, str, float | None, datetime]]:
    """Read every stored front of a study without its members, oldest first."""
    # The members of all fronts together are a multiple of everything else that the study has.
    query = (
        select(StoredFront.sequence, StoredFront.trial_id, StoredFront.hypervolume, StoredFront.recorded_at)
        .where(StoredFront.study_id == study_id)
        .order_by(StoredFront.sequence)
    )
    return session.connection().execute(query).all()


def measurements_of(session: Session, attempts: Mapping[str, int]) -> dict[str, list[Measurement]]:
    """Read the measurements of one attempt of each trial, by step."""
    rows = session.execute(
        select(
            TrialMeasurement.trial_id,
            TrialMeasurement.attempt,
            TrialMeasurement.step,
            TrialMeasurement.metrics,
        )
        .where(_one_of(TrialMeasurement.trial_id, attempts))
        .order_by(TrialMeasurement.trial_id, TrialMeasurement.step)
    )
    by_trial: dict[str, list[Measurement]] = {trial_id: [] for trial_id in attempts}
    for trial_id, attempt, step, metrics in rows:
        if attempt == attempts[trial_id]:
            by_trial[trial_id].append(Measurement(step=step, metrics=metrics))
    return by_trial


def artifacts_of(session: Session, trials: Sequence[Trial]) -> dict[str, list[ArtifactRecord]]:
    """Read the artifacts of each trial, by name."""
    by_trial: dict[str, list[ArtifactRecord]] = {trial.id: [] for trial in trials}
    columns = [getattr(Artifact, name) for name in ArtifactRecord.model_fields]
    rows = session.execute(
        select(Artifact.trial_id, *columns)
        .where(_one_of(Artifact.trial_id, by_trial))
        .order_by(Artifact.trial_id, Artifact.name)
    )
    for trial_id, *values in rows:
        record = dict(zip(ArtifactRecord.model_fields, values, strict=True))
        by_trial[trial_id].append(ArtifactRecord.model_validate(record))
    return by_trial


def _with_replicates(session: Session, query: Select[Trial], *, wait: bool = True) -> Trial | None:
    whole = query.join(Trial.replicates).options(contains_eager(Trial.replicates)).order_by(Replicate.number)
    # Under the study's lock none changes its state, and a heartbeat that extends a lease does not wait.
    return session.scalars(locked(whole, wait=wait, of=Trial)).unique().one_or_none()


def _one_of(column: InstrumentedAttribute[str], ids: Iterable[str]) -> ColumnElement[bool]:
    # One array, not a parameter for each id: what belongs to a hundred trials is read in half the time.
    return column == any_(literal(list(ids), ARRAY(String)))


def locked(query: Query, *, wait: bool = True, of: type[Base] | None = None) -> Query:
    """Return a query that locks the rows it finds; without `wait`, it skips rows that are locked.

    Of several tables, it locks the rows of `of`.
    """
    # populate_existing: the row may have changed while we waited for its lock.
    return query.with_for_update(skip_locked=not wait, of=of).execution_options(populate_existing=True)
