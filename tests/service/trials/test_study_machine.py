"""No order of what users, workers and reapers do breaks a study: a state machine against a real database."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import TERMINAL_TRIAL_STATES, Measurement, TrialReport, TrialState
from service.errors import WrongState
from service.storage import queries
from service.storage.models import Event, Replicate, StoredFront, Study, Trial
from service.studies import steering
from service.suggestions.race_rounds import advance_race
from service.trials import lifecycle, race_budget, study_lifecycle
from tests.conftest import examples, make_study_request
from tests.service.studies.replay import replayed_fronts
from tests.service.trials.test_lifecycle import (
    MAX_ATTEMPTS,
    OBJECTIVES,
    create,
    finish,
    queue,
    replicates_of,
    start,
    succeeded,
)


class StudyMachine(RuleBasedStateMachine):
    """Random users, workers and reapers on one study."""

    session: Session

    @initialize(
        budget=st.integers(1, 4), seeds=st.integers(1, 3), final=st.integers(0, 2), races=st.booleans()
    )
    def create(self, budget: int, seeds: int, final: int, races: bool) -> None:
        race = {"race": {"share": 0.5}, "replicates": 1} if races else {"replicates": seeds}
        self.budget = budget + 3 if races else budget
        request = make_study_request(
            budget={"trials": self.budget}, final_replicates=final, parallelism=4, **race
        )
        self.study = create(self.session, request)

    def trials(self, *states: TrialState) -> list[Trial]:
        mine = select(Trial).where(Trial.study_id == self.study.id)
        found = self.session.scalars(mine.order_by(Trial.number))
        return [trial for trial in found if not states or trial.state in states]

    def replicates(self, *states: TrialState) -> list[Replicate]:
        return queries.replicates_in(self.session, self.study.id, states or list(TrialState))

    def events(self) -> list[Event]:
        query = select(Event).where(Event.study_id == self.study.id).order_by(Event.sequence)
        return list(self.session.scalars(query))

    def running(self, position: int) -> tuple[Trial, int] | None:
        leased = self.replicates(TrialState.RUNNING)
        if not leased:
            return None
        replicate = leased[position % len(leased)]
        return self.session.get_one(Trial, replicate.trial_id), replicate.attempt

    @rule()
    def propose(self) -> None:
        if self.study.state is StudyState.ACTIVE and race_budget.left_for_search(self.study):
            queue(self.session, self.study)

    @rule(scores=st.lists(st.floats(0, 1), min_size=5, max_size=9))
    def search_to_the_end(self, scores: list[float]) -> None:
        for place, score in enumerate(scores):
            self.propose()
            self.claim()
            self.succeed(0, score, 1000 + place, twice=False)
        self.race()

    @rule()
    def race(self) -> None:
        self.study.turn_due_at = None
        advance_race(self.session, self.study.id)

    @rule()
    def run_out_of_configurations(self) -> None:
        if self.study.state is StudyState.ACTIVE and race_budget.is_pending(self.study):
            study_lifecycle.exhaust(self.session, self.study)

    @rule()
    def extend(self) -> None:
        before = self.study.state
        try:
            steering.extend(self.session, self.study, trials=1)
            self.budget += 1
        except WrongState:
            assert self.study.state is before

    @rule()
    def claim(self) -> None:
        if self.study.state is StudyState.ACTIVE:
            trial = queries.next_queued(self.session, self.study.id)
            if trial is not None:
                start(self.session, self.study, trial)

    @rule(
        which=st.integers(0, 9), score=st.floats(0, 1), parameters=st.integers(1, 10**6), twice=st.booleans()
    )
    def succeed(self, which: int, score: float, parameters: int, twice: bool) -> None:
        self.end(which, succeeded(score, parameters), times=1 + twice)

    @rule(scores=st.lists(st.floats(0, 1), min_size=1, max_size=6), parameters=st.integers(1, 10**6))
    def work(self, scores: list[float], parameters: int) -> None:
        for score in scores:
            self.claim()
            self.succeed(0, score, parameters, twice=False)

    @rule(which=st.integers(0, 9), state=st.sampled_from([TrialState.INFEASIBLE, TrialState.FAILED]))
    def fail(self, which: int, state: TrialState) -> None:
        self.end(which, TrialReport(state=state, reason="r"))  # type: ignore[arg-type]

    @rule(which=st.integers(0, 9), score=st.floats(0, 1))
    def stop_early(self, which: int, score: float) -> None:
        if found := self.running(which):
            trial, attempt = found
            measurement = Measurement(step=1, metrics={**succeeded(score).metrics, "share": 0.5})
            lifecycle.record_measurement(
                self.session, self.study, trial, attempt=attempt, measurement=measurement
            )
            report = TrialReport(state=TrialState.STOPPED_EARLY)
            finish(self.session, self.study, trial, report, attempt=attempt)

    def end(self, which: int, report: TrialReport, *, times: int = 1) -> None:
        if found := self.running(which):
            trial, attempt = found
            for _ in range(times):
                finish(self.session, self.study, trial, report, attempt=attempt)

    @rule(which=st.integers(0, 9))
    def lose(self, which: int) -> None:
        if found := self.running(which):
            trial, attempt = found
            lifecycle.lose_trial(self.session, self.study, trial, attempt=attempt, max_attempts=MAX_ATTEMPTS)

    @rule(which=st.integers(0, 9))
    def release(self, which: int) -> None:
        if found := self.running(which):
            trial, attempt = found
            lifecycle.release_trial(self.session, self.study, trial, attempt=attempt)

    @rule(verb=st.sampled_from([steering.pause, steering.resume, steering.resume, steering.cancel]))
    def command(self, verb: Callable[[Session, Study], Study]) -> None:
        before = self.study.state
        try:
            verb(self.session, self.study)
        except WrongState:
            assert self.study.state is before

    @invariant()
    def budget_is_kept(self) -> None:
        raced = race_budget.progress(self.study).trainings
        assert len(self.trials()) + raced == self.study.trials_created <= self.budget
        assert [trial.number for trial in self.trials()] == list(range(len(self.trials())))
        seeds = self.study.replicates + self.study.final_replicates
        beyond = [one for one in self.replicates() if one.number >= seeds]
        assert len(beyond) <= raced

    @invariant()
    def a_race_that_is_over_ends_the_study_with_its_last_seed(self) -> None:
        if race_budget.progress(self.study).is_over:
            still_open = self.replicates(TrialState.QUEUED, TrialState.RUNNING)
            assert (self.study.finished_at is None) == bool(still_open)

    @invariant()
    def terminal_studies_have_nothing_open(self) -> None:
        if self.study.state in (StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED):
            assert not self.trials(TrialState.QUEUED, TrialState.RUNNING)
            assert not self.replicates(TrialState.QUEUED, TrialState.RUNNING)

    @invariant()
    def a_spent_budget_ends_the_study(self) -> None:
        if len(self.trials(*TERMINAL_TRIAL_STATES)) == self.budget and not self.study.race_share:
            still_open = self.replicates(TrialState.QUEUED, TrialState.RUNNING)
            assert (self.study.finished_at is None) == bool(still_open)

    @invariant()
    def a_trial_is_open_while_a_seed_of_its_search_is(self) -> None:
        for trial in self.trials(TrialState.QUEUED, TrialState.RUNNING):
            states = {replicate.state for replicate in replicates_of(self.session, trial)}
            assert (TrialState.RUNNING in states) == (trial.state is TrialState.RUNNING)
            assert states & {TrialState.QUEUED, TrialState.RUNNING}

    @invariant()
    def every_ended_trial_has_one_terminal_event(self) -> None:
        events = self.events()
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert events[0].type == EventType.STUDY_CREATED
        for trial in self.trials():
            mine = [event for event in events if event.trial_id == trial.id]
            ends = [event.type for event in mine if event.type in lifecycle.ENDED.values()]
            # A final seed may prove a trial infeasible that had succeeded; nothing else ends twice.
            assert ends[:-1] in ([], [EventType.TRIAL_SUCCEEDED])
            assert ends[-1:] == [lifecycle.ENDED[item] for item in [trial.state] if item in lifecycle.ENDED]
            starts = [event.attempt for event in mine if event.type == EventType.TRIAL_STARTED]
            assert starts == list(range(1, trial.attempt + 1))

    @invariant()
    def every_stored_front_is_the_replayed_one(self) -> None:
        fronts = self.session.scalars(
            select(StoredFront).where(StoredFront.study_id == self.study.id).order_by(StoredFront.sequence)
        ).all()
        expected = replayed_fronts(OBJECTIVES, self.events(), self.replicates())
        assert [(front.trial_id, set(front.member_trial_ids)) for front in fronts] == expected

    @invariant()
    def a_succeeded_study_gave_its_front_every_seed(self) -> None:
        front = queries.latest_front(self.session, self.study)
        if self.study.state is StudyState.SUCCEEDED and front and self.study.final_replicates:
            for trial_id in front.member_trial_ids:
                replicates = queries.replicates_of(self.session, [trial_id])[trial_id]
                # A seed of a race takes the number of the next, so a racer may have more.
                wanted = self.study.replicates + self.study.final_replicates
                assert len(replicates) >= wanted
                assert len(replicates) == wanted or self.study.race_share
                assert TrialState.CANCELLED not in {replicate.state for replicate in replicates}

    def teardown(self) -> None:
        self.session.rollback()


@pytest.mark.slow
@pytest.mark.hypothesis
@pytest.mark.usefixtures("service_environment")
def test_no_order_of_events_breaks_a_study(session: Session) -> None:
    """Budgets are kept, terminal states are final, events have no gaps, fronts equal a recomputation."""

    class Bound(StudyMachine):
        pass

    Bound.session = session
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=examples(12),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
