"""What must hold of every study after every commit, whoever did what before."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.studies import StudyState
from api_schemas.trials import IMPORTED, TERMINAL_TRIAL_STATES, TrialState
from service.storage import queries
from service.storage.models import Event, Replicate, StoredFront, Study, Trial
from service.trials import pareto_front, race_budget
from service.trials.lifecycle import ENDED
from tests.service.trials.brute_force import brute_force_front

Fact = tuple[object, ...]

OPEN = (TrialState.QUEUED, TrialState.RUNNING)
OVER = (StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED)


def check_study(session: Session, study_id: str) -> None:
    """Hold what is stored of a study against everything that must be true of it."""
    study = session.get_one(Study, study_id)
    trials = queries.list_trials(session, study_id)
    replicates = queries.replicates_of(session, [trial.id for trial in trials])
    events = list(session.scalars(select(Event).where(Event.study_id == study_id).order_by(Event.sequence)))
    _check_counts(session, study, trials)
    _check_states(study, trials, replicates)
    _check_events(study, trials, events)
    _check_attempts(trials, events)
    _check_front(session, study, trials)


def settled_facts(session: Session, study_id: str) -> dict[tuple[str, int], Fact]:
    """Give what is over for good, by trial and seed: the state, reason and numbers that may never change."""
    rows = session.scalars(select(Replicate).where(Replicate.study_id == study_id))
    return {
        (row.trial_id, row.number): (row.state, row.state_reason, str(row.metrics), row.attempt)
        for row in rows
        # A seed that was dropped may be wanted again when its trial is back on the front.
        if row.state in TERMINAL_TRIAL_STATES - {TrialState.CANCELLED}
    }


def _check_counts(session: Session, study: Study, trials: Sequence[Trial]) -> None:
    proposed = [trial for trial in trials if trial.generated_by != IMPORTED]
    raced = race_budget.progress(study).trainings
    assert len(proposed) + raced == study.trials_created <= study.trial_budget
    assert len(trials) - len(proposed) == study.trials_imported
    assert [trial.number for trial in trials] == list(range(len(trials)))
    states = Counter(trial.state.value.lower() for trial in proposed)
    shown = queries.count_trials(session, [study.id])[study.id].model_dump()
    assert {name: count for name, count in shown.items() if count} == dict(states) | (
        {"imported": study.trials_imported} if study.trials_imported else {}
    )


def _check_states(study: Study, trials: Sequence[Trial], replicates: dict[str, list[Replicate]]) -> None:
    for trial in trials:
        states = {replicate.state for replicate in replicates[trial.id]}
        if trial.state in OPEN:
            assert (TrialState.RUNNING in states) == (trial.state is TrialState.RUNNING)
            assert states & set(OPEN)
    if study.state in OVER:
        assert study.finished_at is not None
        assert not [one for found in replicates.values() for one in found if one.state in OPEN]
    else:
        assert study.finished_at is None


def _check_events(study: Study, trials: Sequence[Trial], events: Sequence[Event]) -> None:
    assert [event.sequence for event in events] == list(range(1, study.event_sequence + 1))
    assert [event.type for event in events].count(EventType.STUDY_CREATED) == 1
    for trial in trials:
        types = [event.type for event in events if event.trial_id == trial.id]
        ends = [type_ for type_ in types if type_ in ENDED.values()]
        if trial.generated_by == IMPORTED:
            assert types[0] == EventType.TRIAL_IMPORTED
        else:
            assert types[0] == EventType.TRIAL_QUEUED
        corrections = [
            event.body["trial_state"]
            for event in events
            if event.trial_id == trial.id and event.type == EventType.TRIAL_CORRECTED
        ]
        if corrections:
            # A seed of a trial that is still open may be corrected, too; what ends last is later then, and
            # an open trial goes on between the states that are open.
            after = TrialState(corrections[-1])
            assert (
                trial.state == after
                or ends[-1:] == [ENDED.get(trial.state)]
                or not {trial.state, after} & set(ENDED)
            )
        elif trial.generated_by != IMPORTED:
            assert ends[-1:] == [ENDED[state] for state in [trial.state] if state in ENDED]
        # A final seed may prove a trial infeasible that had succeeded, told so or corrected; nothing else
        # ends twice.
        first = [EventType.TRIAL_SUCCEEDED] if not corrections else ends[:1]
        assert len(ends) <= 1 or ends == [*first, EventType.TRIAL_INFEASIBLE]


def _check_attempts(trials: Sequence[Trial], events: Sequence[Event]) -> None:
    for trial in trials:
        mine = [event for event in events if event.trial_id == trial.id]
        starts = [event.attempt for event in mine if event.type == EventType.TRIAL_STARTED]
        # A trial that came with a clone keeps the number of the attempts that it had in the source.
        first = trial.attempt - len(starts) + 1
        assert starts == list(range(first, trial.attempt + 1))
        assert first == 1 or trial.generated_by == IMPORTED
        seeds = {event.body["replicate"] for event in mine if "replicate" in event.body}
        for seed in seeds:
            attempts = [event.attempt or 0 for event in mine if event.body.get("replicate") == seed]
            # Nothing of an attempt comes after the next one has begun.
            assert all(before <= after for before, after in pairwise(attempts))


def _check_front(session: Session, study: Study, trials: Sequence[Trial]) -> None:
    stored = session.scalars(
        select(StoredFront).where(StoredFront.study_id == study.id).order_by(StoredFront.sequence)
    ).all()
    assert [front.sequence for front in stored] == list(range(1, study.front_sequence + 1))
    objectives = [Objective.model_validate(item) for item in study.objectives]
    constraints = [OutcomeConstraint.model_validate(item) for item in study.constraints]
    accepted = [trial for trial in trials if trial.state is TrialState.SUCCEEDED]
    feasible = [trial for trial in accepted if pareto_front.satisfies(constraints, trial.metrics)]
    expected = brute_force_front(objectives, [trial.metrics for trial in feasible])
    members = stored[-1].member_trial_ids if stored else []
    assert sorted(members) == sorted(feasible[place].id for place in expected)
