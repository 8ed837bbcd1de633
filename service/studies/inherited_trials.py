"""The results that a clone starts from: those of its source that it could have found itself.

The source is read as of one moment and never locked; its rows are copied inside the database, in one
statement however many they are.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json
from sqlalchemy import null, select, text
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.json_values import Identity, identity
from api_schemas.search_space import Parameterization
from api_schemas.trials import IMPORTED, TrialState
from service.storage import queries, typed_study
from service.storage.ids import new_id
from service.storage.models import Study, Trial
from service.studies.canonical_trials import CanonicalTrial, canonical_trials
from service.studies.layers import setting_at
from service.trials.front_history import store_front
from service.trials.reported_metrics import exact_metrics_of, finite, metric_errors

INHERITED = (TrialState.SUCCEEDED, TrialState.INFEASIBLE)

COPY = text("""
WITH wanted AS (
    SELECT * FROM unnest(
        CAST(:source_ids AS text[]), CAST(:ids AS text[]), CAST(:keys AS text[]), CAST(:parameters AS text[]),
        CAST(:exact AS text[])
    ) WITH ORDINALITY AS row (source_id, id, key, parameters, exact, place)
), found AS (
    SELECT wanted.id AS new_id, wanted.key, CAST(wanted.parameters AS jsonb) AS new_parameters,
        CAST(wanted.exact AS jsonb) AS exact, source.*,
        CAST(row_number() OVER (ORDER BY wanted.place) AS integer) AS nth
    FROM wanted JOIN trials AS source ON source.id = wanted.source_id AND source.state = ANY(:states)
), trials_made AS (
    INSERT INTO trials (
        id, study_id, number, state, state_reason, generated_by, proposal_seconds, known_results, parameters,
        configuration, configuration_key, attempt, metrics, test_metrics, metric_standard_errors,
        test_metric_standard_errors, started_at, finished_at
    )
    SELECT new_id, :study_id, :first_number - 1 + nth, state, state_reason, :generated_by, 0, 0,
        new_parameters, configuration, key, attempt, metrics || exact, test_metrics, metric_standard_errors,
        test_metric_standard_errors, started_at, finished_at
    FROM found
    RETURNING id, number, state
), replicates_made AS (
    INSERT INTO replicates (
        trial_id, number, study_id, seed, state, state_reason, attempt, lost_attempts, worker, metrics,
        test_metrics, provenance, started_at, finished_at
    )
    SELECT found.new_id, one.number, :study_id, one.seed, one.state, one.state_reason, one.attempt,
        one.lost_attempts, one.worker,
        CASE WHEN one.state = 'SUCCEEDED' THEN one.metrics || found.exact ELSE one.metrics END,
        one.test_metrics, one.provenance, one.started_at, one.finished_at
    FROM found JOIN replicates AS one ON one.trial_id = found.id AND one.state NOT IN ('QUEUED', 'RUNNING')
), events_made AS (
    INSERT INTO events (study_id, sequence, type, trial_id, attempt, body)
    SELECT :study_id, :last_event + nth, :event_type, new_id, attempt,
        jsonb_build_object('state', state, 'source_trial_id', id)
    FROM found
)
SELECT id, state FROM trials_made ORDER BY number
""")
"""Trials of a source with their seeds and events, all as of one moment: a statement sees one snapshot."""


class Inherited(NamedTuple):
    """A trial of the source, and what it is in the new study."""

    source_id: str
    parameters: Parameterization
    key: str
    exact: dict[str, float]
    """What the new study computes of its metrics, in the place of what the source has."""


def inherit_trials(session: Session, source: Study, study: Study) -> None:
    """Give a new study the source's results that it could have found itself.

    Those are the SUCCEEDED and INFEASIBLE trials whose configuration a parameterization of the new space
    gives, down to task, recipe and seed, with every metric that the new study weighs. They keep
    their metrics and replicates; measurements and files stay with the source. They cost no budget.
    """
    found = list(_inherited(session, source, study))
    session.flush()
    made = session.execute(
        COPY,
        {
            "source_ids": [trial.source_id for trial in found],
            "ids": [new_id("trl") for _ in found],
            "keys": [trial.key for trial in found],
            "parameters": [to_json(trial.parameters).decode() for trial in found],
            "exact": [to_json(trial.exact).decode() for trial in found],
            "states": [state.value for state in INHERITED],
            "study_id": study.id,
            "first_number": queries.next_number(session, study.id),
            "generated_by": IMPORTED,
            "last_event": study.event_sequence,
            "event_type": EventType.TRIAL_IMPORTED.value,
        },
    ).all()
    study.trials_imported += len(made)
    study.event_sequence += len(made)
    accepted = [trial_id for trial_id, state in made if state == TrialState.SUCCEEDED]
    if accepted:
        store_front(session, study, [session.get_one(Trial, accepted[-1])])


def _inherited(session: Session, source: Study, study: Study) -> Iterator[Inherited]:
    """Yield each trial of the source that the new study could have proposed, once; of another kind, none."""
    if source.kind != study.kind:
        return
    fit = _carried_over if _trains_the_same(source, study) else _fitting(study)
    columns = (Trial.id, Trial.state, Trial.metrics, Trial.parameters, Trial.configuration_key)
    # The widest column by far, which most clones need not read.
    wide = Trial.configuration if fit is not _carried_over else null()
    rows = session.execute(
        select(*columns, wide)
        .where(Trial.study_id == source.id, Trial.state.in_(INHERITED))
        .order_by(Trial.number)
    )
    seen: set[str] = set()
    for trial_id, state, metrics, parameters, key, configuration in rows:
        known = fit(parameters, configuration, key)
        if known is None or known.key in seen:
            continue
        succeeded = state is TrialState.SUCCEEDED
        exact = exact_metrics_of(study, None, known.parameters) if succeeded else {}
        if succeeded and any(metric_errors(study, finite(metrics | exact), pointer="")):
            continue
        seen.add(known.key)
        yield Inherited(trial_id, known.parameters, known.key, exact)


def _trains_the_same(source: Study, study: Study) -> bool:
    """Return whether every trial of one is just that trial of the other."""
    searched = (source.search_space, source.configuration) == (study.search_space, study.configuration)
    return searched and study.configuration is not None


def _carried_over(parameters: Parameterization, configuration: Any, key: str) -> CanonicalTrial:
    return CanonicalTrial(parameters, configuration, key)


def _fitting(study: Study) -> Callable[[Parameterization, Any, str], CanonicalTrial | None]:
    """Return a function that returns the trial of a study that trains what another's did, if any does."""
    search_space = typed_study.search_space(study)
    parameters = search_space.by_name
    turn = canonical_trials(study)

    def fit(tried: Parameterization, configuration: Any, key: str) -> CanonicalTrial | None:
        read = {name: tried.get(name, setting_at(configuration, name)) for name in parameters}
        values = {name: value for name, value in read.items() if isinstance(value, bool | int | float | str)}
        active = search_space.canonical(values)
        if search_space.missing(active) or not all(
            parameters[name].contains(value) for name, value in active.items()
        ):
            return None
        try:
            known = turn(active)
        except ValidationError:
            return None  # on another base the values do not go together
        same = (
            known.key == key
            if study.configuration is not None
            else _identities(known.parameters) == _identities(tried)
        )
        return known if same else None

    return fit


def _identities(parameters: Parameterization) -> dict[str, Identity]:
    """Return values as their identities: 1 and 1.0 are one where a parameter's type was edited."""
    return {name: identity(value) for name, value in parameters.items()}
