"""The life of trials under random runners, owners and reapers: each rule commits on a real Postgres."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from api_schemas.ask_and_tell import (
    CompletionRequest,
    CorrectionRequest,
    MeasurementReport,
    SuggestedTrial,
    SuggestRequest,
)
from api_schemas.studies import StudyCreate, StudyState
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialState
from service.errors import StaleAttempt, WrongState
from service.errors.conflicts import ConflictingResult
from service.events.feed import EventFeed
from service.storage import queries
from service.storage.database import transaction
from service.storage.expired_leases import expired_leases
from service.storage.models import Replicate, Study, Tenant, TrialMeasurement
from service.studies import steering
from service.studies.canonical_trials import canonical_trials
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.trials import ask_and_tell, lifecycle, replication, sweeper
from service.trials.leases import lock_study_and_trial
from service.trials.one_by_one import do_each
from tests.conftest import examples
from tests.service.studies.invariants import check_study, settled_facts

RUNNERS = st.sampled_from(["a", "b", "c"])
PLACES = st.tuples(st.integers(0, 11), st.sampled_from([False, False, True]))
"""Which attempt; of the running ones, or of all that ever were."""

Token = tuple[str, int]
"""A trial and an attempt."""
Place = tuple[int, bool]

RESULTS = TERMINAL_TRIAL_STATES - {TrialState.CANCELLED}


def custom_study(**changes: object) -> StudyCreate:
    return StudyCreate.model_validate(
        {
            "kind": "custom",
            "display_name": "a study of my own",
            "search_space": {"parameters": [{"type": "int", "name": "x", "low": 0, "high": 9999}]},
            "objectives": [
                {"metric": "error", "direction": "minimize"},
                {"metric": "watts", "direction": "minimize"},
            ],
            **changes,
        }
    )


def propose(session: Session, study: Study, *, x: int) -> None:
    """Queue a trial, as the optimiser would."""
    trial = canonical_trials(study)({"x": x})
    lifecycle.add_trial(
        session, study, parameters=trial.parameters, configuration=None, configuration_key=trial.key,
        generated_by="test", proposal_seconds=0.0,
    )  # fmt: skip


def replicate_of(session: Session, token: Token) -> Replicate | None:
    """Return the replicate that the attempt is or was the last of."""
    trial_id, attempt = token
    return session.scalar(
        select(Replicate).where(Replicate.trial_id == trial_id, Replicate.attempt == attempt)
    )


async def never() -> bool:
    return False


class TrialMachine(RuleBasedStateMachine):
    """One study; whoever ever held an attempt may speak of it again, however late."""

    @initialize(
        budget=st.integers(1, 5), seeds=st.integers(1, 2), final=st.integers(0, 1), width=st.integers(1, 4)
    )
    def create(self, budget: int, seeds: int, final: int, width: int) -> None:
        request = custom_study(
            budget={"trials": budget}, replicates=seeds, final_replicates=final, parallelism=width
        )
        with transaction() as session:
            self.tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
            valid = validate_study(request, tenant_id=self.tenant_id)
            self.study_id = create_study(session, valid, tenant_id=self.tenant_id).id
        self.tokens: list[Token] = []
        self.measured: dict[tuple[str, int, int], float] = {}
        self.settled: dict[tuple[str, int], tuple[object, ...]] = {}
        self.x = 0
        self.propose(count=budget)

    def state_of(self, token: Token) -> TrialState | None:
        """The state of the seed that the attempt is or was the last of."""
        with transaction() as session:
            found = replicate_of(session, token)
            return None if found is None else found.state

    def has_let_go(self, token: Token) -> bool:
        """Whether the attempt has given back its seed, which waits for another."""
        with transaction() as session:
            found = replicate_of(session, token)
            return found is not None and found.state is TrialState.QUEUED and found.worker is None

    def lost(self, token: Token) -> int:
        with transaction() as session:
            found = replicate_of(session, token)
            assert found is not None
            return found.lost_attempts

    def held(self) -> list[Token]:
        """The running attempts; where there are none, somebody asks for one."""
        for _ in range(2):
            with transaction() as session:
                running = queries.replicates_in(session, self.study_id, [TrialState.RUNNING])
                held = [(item.trial_id, item.attempt) for item in running]
            if held:
                break
            self.ask_twice("a", 2)
        return held

    def speak(self, place: Place, say: Callable[[Session, Token], object]) -> Token | None:
        """Let somebody speak of an attempt; it is heard until another one begins or the trial is over."""
        number, late = place
        tokens = self.tokens if late else self.held()
        if not tokens:
            return None
        token = tokens[number % len(tokens)]
        state, has_let_go = self.state_of(token), self.has_let_go(token)
        try:
            with transaction() as session:
                say(session, token)
        except StaleAttempt:
            assert has_let_go or state not in (TrialState.RUNNING, TrialState.QUEUED)
            return None
        assert state in (TrialState.RUNNING, TrialState.QUEUED)
        return token

    def end(self, place: Place, **ended: object) -> tuple[Token, CompletionRequest] | None:
        """Let somebody say how an attempt ended; the same again is heard, too, anything else refused."""
        told: list[CompletionRequest] = []

        def say(session: Session, token: Token) -> None:
            told.append(CompletionRequest.model_validate({"attempt": token[1], **ended}))
            before = replicate_of(session, token)
            was = None if before is None else (before.state, before.metrics)
            silent = before is not None and (before.state_reason or "").startswith(replication.LOST)
            try:
                ask_and_tell.complete(session, *lock_study_and_trial(session, token[0]), ended=told[0])
            except ConflictingResult:
                assert was is not None
                assert was[0] in RESULTS
                assert was != (told[0].state, told[0].metrics)
                raise StaleAttempt("said otherwise before") from None
            if was is not None and was[0] in RESULTS:
                # Only what nobody has said anything about is taken so late; here it is taken back again.
                assert silent or was == (told[0].state, told[0].metrics)
                raise StaleAttempt("said before")

        token = self.speak(place, say)
        return None if token is None else (token, told[0])

    @rule(count=st.integers(1, 3))
    def propose(self, count: int) -> None:
        with transaction() as session:
            study = queries.lock_study(session, self.study_id)
            assert study is not None
            for _ in range(min(count, study.trial_budget - study.trials_created)):
                if study.state is StudyState.ACTIVE:
                    self.x += 1
                    propose(session, study, x=self.x)

    @rule(runner=RUNNERS, count=st.integers(1, 3))
    def ask_twice(self, runner: str, count: int) -> None:
        with transaction() as session:
            state = session.get_one(Study, self.study_id).state
            held = {
                (item.trial_id, item.attempt)
                for item in queries.replicates_in(session, self.study_id, [TrialState.RUNNING])
                if item.worker == runner
            }
        first, second = (self.ask(runner, count) for _ in range(2))
        assert first == second
        if len(held) >= count or state is not StudyState.ACTIVE:
            assert first <= held
        else:
            assert held <= first
        self.tokens += sorted(first - set(self.tokens))

    def ask(self, runner: str, count: int) -> set[Token]:
        def tokens(trials: tuple[SuggestedTrial, ...]) -> set[Token]:
            return {(trial.trial_id, trial.attempt) for trial in trials}

        request = SuggestRequest(worker_id=runner, count=count)
        answer = asyncio.run(
            ask_and_tell.suggest(
                self.study_id, request, tenant_id=self.tenant_id, feed=EventFeed(), is_gone=never
            )
        )
        assert len(answer.trials) == len(tokens(answer.trials)) <= count
        return tokens(answer.trials)

    @rule(place=PLACES)
    def heartbeat(self, place: Place) -> None:
        def say(session: Session, token: Token) -> None:
            study = session.get_one(Study, self.study_id)
            signal = ask_and_tell.heartbeat(session, study, token[0], attempt=token[1])
            assert signal.should_stop or study.state is not StudyState.CANCELLING

        self.speak(place, say)

    @rule(place=PLACES, step=st.integers(0, 2), error=st.floats(0, 1))
    def report(self, place: Place, step: int, error: float) -> None:
        def say(session: Session, token: Token) -> None:
            body = MeasurementReport(attempt=token[1], step=step, metrics={"error": error, "watts": 1.0})
            try:
                with session.begin_nested():
                    study, trial = lock_study_and_trial(session, token[0])
                    ask_and_tell.report(session, study, trial, measured=body)
            except ConflictingResult:
                assert self.measured[(*token, step)] != error

        if token := self.speak(place, say):
            self.measured.setdefault((*token, step), error)

    @rule(place=PLACES, error=st.integers(0, 5), watts=st.integers(0, 5), times=st.integers(1, 2))
    def succeed(self, place: Place, error: int, watts: int, times: int) -> None:
        metrics = {"error": float(error), "watts": float(watts)}
        ended = self.end(place, state="SUCCEEDED", metrics=metrics)
        if ended is not None and times == 2:
            (trial_id, _), body = ended
            with transaction() as session:
                ask_and_tell.complete(session, *lock_study_and_trial(session, trial_id), ended=body)

    @rule(place=PLACES, state=st.sampled_from([TrialState.INFEASIBLE, TrialState.FAILED]))
    def fail(self, place: Place, state: TrialState) -> None:
        self.end(place, state=state, reason="r")

    @rule(place=st.integers(0, 11), error=st.integers(0, 5) | st.none())
    def correct(self, place: int, error: int | None) -> None:
        """Somebody told a wrong value, and says so once the seed has ended."""
        if not self.tokens:
            return
        token = self.tokens[place % len(self.tokens)]
        with transaction() as session:
            replicate = replicate_of(session, token)
            if replicate is None or replicate.state not in TERMINAL_TRIAL_STATES:
                return
            number = replicate.number
        told = {"state": "INFEASIBLE"} if error is None else {"metrics": {"error": error, "watts": 1.0}}
        body = CorrectionRequest.model_validate({"reason": "a typo", "replicate": number, **told})
        for _ in range(2):
            with transaction() as session:
                study, trial = lock_study_and_trial(session, token[0])
                ask_and_tell.correct(session, study, trial, corrected=body)
            self.settled.pop((token[0], number), None)

    @rule(place=PLACES)
    def release(self, place: Place) -> None:
        def say(session: Session, token: Token) -> None:
            study, trial = lock_study_and_trial(session, token[0])
            lifecycle.release_trial(session, study, trial, attempt=token[1])

        self.speak(place, say)

    @rule(count=st.integers(1, 3), reapers=st.integers(1, 2))
    def fall_silent(self, count: int, reapers: int) -> None:
        silent = self.held()[:count]
        before = [self.lost(token) for token in silent]
        past = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 1)
        with transaction() as session:
            which = tuple_(Replicate.trial_id, Replicate.attempt).in_(silent)
            session.execute(update(Replicate).where(which).values(lease_expires_at=past))

        looked = Barrier(reapers)

        def reap() -> None:
            # Without the sweeper's own lock: the fence alone must be enough.
            with transaction() as session:
                leases = expired_leases(session, at_most=9)
            looked.wait(timeout=20)
            do_each(leases, sweeper.take_back)

        with ThreadPoolExecutor(reapers) as pool:
            for one in [pool.submit(reap) for _ in range(reapers)]:
                one.result()
        # What was in use when each of them came by.
        with transaction() as session:
            sweeper.reap_expired_leases(session)
        assert [self.lost(token) for token in silent] == [count + 1 for count in before]

    @rule(verb=st.sampled_from([steering.pause] * 3 + [steering.resume] * 3 + [steering.cancel]))
    def steer(self, verb: Callable[[Session, Study], Study]) -> None:
        self.command(verb)

    @rule(trials=st.integers(1, 2))
    def extend(self, trials: int) -> None:
        self.command(lambda session, study: steering.extend(session, study, trials=trials))

    def command(self, verb: Callable[[Session, Study], Study]) -> None:
        try:
            with transaction() as session:
                study = queries.lock_study(session, self.study_id)
                assert study is not None
                verb(session, study)
        except WrongState:
            pass

    @invariant()
    def nothing_is_broken(self) -> None:
        with transaction() as session:
            check_study(session, self.study_id)
            settled = settled_facts(session, self.study_id)
        assert self.settled.items() <= settled.items()
        self.settled = settled

    def teardown(self) -> None:
        if not hasattr(self, "study_id"):
            return
        with transaction() as session:
            rows = session.scalars(
                select(TrialMeasurement).where(TrialMeasurement.trial_id.in_({one[0] for one in self.tokens}))
            )
            stored = {(row.trial_id, row.attempt, row.step): row.metrics["error"] for row in rows}
        assert stored == self.measured


@pytest.mark.slow
@pytest.mark.hypothesis
@pytest.mark.usefixtures("service_environment")
def test_no_order_of_words_about_trials_breaks_them() -> None:
    """Asking, reporting, completing, falling silent: late words are heard until another attempt begins."""
    run_state_machine_as_test(
        TrialMachine,
        settings=settings(
            max_examples=examples(4),
            stateful_step_count=20,
            deadline=None,
            # To make a failure shorter takes longer than a test may.
            phases=set(Phase) - {Phase.shrink},
            suppress_health_check=list(HealthCheck),
        ),
    )
