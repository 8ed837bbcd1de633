"""Whose turn it is at the study worker, and what becomes of studies that break it, on a real Postgres."""

from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from service import study_worker
from service.optimization import importance
from service.optimization.problem import Suggestion
from service.optimization.proposers import random_search
from service.runtime.broker import ADVANCE_STUDY
from service.settings import settings
from service.storage import queries
from service.storage.counters import CounterName, totals
from service.storage.database import transaction
from service.storage.models import Event, Study, Tenant
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.study_worker import advance_study
from service.trials import leases, sweeper, turns
from tests.conftest import make_study_request
from tests.service.trials.test_leases import REPORT, forget_wake_ups, sent_by

pytestmark = pytest.mark.usefixtures("service_environment")


def posted(tenant: str = "default", **changes: object) -> str:
    with transaction() as session:
        return created(session, tenant, **changes).id


def created(session: Session, tenant: str = "default", **changes: object) -> Study:
    proposals = {"proposer": "random", "default_starting_points": False}
    request = make_study_request(**{"proposals": proposals, **changes})
    tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == tenant)).one()
    return create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)


def study_of(study_id: str) -> Study:
    with transaction() as session:
        return session.get_one(Study, study_id)


def begun() -> turns.Turn:
    turn = turns.begin("w")
    assert turn is not None
    return turn


def let_time_pass() -> None:
    """End every lease of a turn, and the pause after every failure."""
    hour_ago = func.now() - func.make_interval(0, 0, 0, 0, 1)
    with transaction() as session:
        due, held = Study.turn_due_at.is_not(None), Study.turn_holder.is_not(None)
        session.execute(update(Study).where(due).values(turn_due_at=hour_ago))
        session.execute(update(Study).where(held).values(turn_expires_at=hour_ago))


def breaks(*_: Any, **__: Any) -> list[Suggestion]:
    raise ValueError("an  odd\nspace")


def test_a_study_has_one_wake_up_however_much_happens_to_it() -> None:
    """Created and extended twice: the first of them sent the only message."""
    assert sent_by(created) == [ADVANCE_STUDY]
    with transaction() as session:
        study_id = session.scalars(select(Study.id)).one()

    def extend(session: Session) -> None:
        study = queries.lock_study(session, study_id)
        assert study is not None
        steering.extend(session, study, trials=1)

    assert sent_by(extend) == []
    advance_study(study_id)
    assert sent_by(extend) == [ADVANCE_STUDY]


def test_what_happens_during_a_turn_makes_the_study_due_again_at_its_end() -> None:
    """Nothing is sent meanwhile, for the worker is there; and nothing is forgotten."""
    study_id, turn = posted(), begun()

    def extend(session: Session) -> None:
        study = queries.lock_study(session, study_id)
        assert study is not None
        steering.extend(session, study, trials=1)

    assert sent_by(extend) == []
    assert turns.begin("w") is None
    turns.finish(turn)
    assert begun().study_id == study_id


def test_an_idle_study_is_left_alone() -> None:
    """Its queue is full and nobody takes from it: the sweeper sends its study worker nothing, ever."""
    advance_study(posted())
    forget_wake_ups()
    assert ADVANCE_STUDY not in sent_by(sweeper.resend_wake_ups)
    assert turns.begin("w") is None


def test_a_study_that_lacks_trials_and_that_nobody_woke_is_found() -> None:
    """Whatever it was that lost it."""
    study_id = posted()
    turns.finish(begun())
    assert turns.begin("w") is None
    assert sent_by(sweeper.resend_wake_ups) == []
    forget_wake_ups()
    assert ADVANCE_STUDY in sent_by(sweeper.resend_wake_ups)
    assert begun().study_id == study_id


def test_a_wake_up_that_waits_long_is_sent_again_less_and_less_often() -> None:
    """A worker that is busy for an hour does not find a message for every five seconds of it."""
    posted()
    second = func.make_interval(0, 0, 0, 0, 0, 0, 1)
    sent = 0
    for _ in range(300):
        with transaction() as session:
            earlier = {"woken_at": Study.woken_at - second, "turn_due_at": Study.turn_due_at - second}
            session.execute(update(Study).values(**earlier))
        sent += sent_by(sweeper.resend_wake_ups).count(ADVANCE_STUDY)
    assert 6 <= sent <= 10


def test_turns_go_round_the_tenants() -> None:
    """Ten studies of one do not make the only one of the other wait for ten turns."""
    mine = [posted() for _ in range(5)]
    theirs = posted("other")
    first, second, third = (begun().study_id for _ in range(3))
    assert {first, second} == {mine[0], theirs}
    assert third == mine[1]


def test_an_error_is_tried_again_and_then_pauses_the_study_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Event and metrics say so; another study goes on; resumed, it has fresh tries."""
    study_id = posted()
    with monkeypatch.context() as patch:
        patch.setattr(random_search, "suggest", breaks)
        for attempt in range(1, settings().max_attempts + 1):
            assert study_of(study_id).state is StudyState.ACTIVE
            advance_study(study_id)
            # It pauses a little first.
            assert turns.begin("w") is None
            assert study_of(study_id).turn_attempts == attempt
            let_time_pass()
    study = study_of(study_id)
    assert study.state is StudyState.PAUSED
    assert "3 times in a row" in str(study.state_reason)
    assert "ValueError: an odd space. Resume the study" in str(study.state_reason)
    with transaction() as session:
        event = session.scalars(select(Event).where(Event.type == EventType.STUDY_PAUSED)).one()
        assert event.body == {"reason": study.state_reason}
        sums = totals(session)
        assert (sums[CounterName.TURN_FAILURES], sums[CounterName.PARKED_STUDIES]) == (3, 1)
    other = posted()
    advance_study(other)
    assert study_of(other).trials_created == 2
    with transaction() as session:
        steering.resume(session, queries.lock_study(session, study_id))  # type: ignore[arg-type]
    advance_study(study_id)
    resumed = study_of(study_id)
    assert (resumed.state, resumed.turn_attempts, resumed.trials_created) == (StudyState.ACTIVE, 0, 2)


def test_a_study_that_kills_its_worker_is_paused_and_others_go_on() -> None:
    """It is counted before the work begins, for nobody can count afterwards."""
    poison = posted()
    for _ in range(settings().max_attempts):
        assert begun().study_id == poison  # and then the kernel kills this process
        let_time_pass()
        sweeper.sweep_once()
        let_time_pass()
    study = study_of(poison)
    assert study.state is StudyState.PAUSED
    assert "it ran out of memory" in str(study.state_reason)
    other = posted()
    advance_study(other)
    assert study_of(other).trials_created == 2


def test_a_success_clears_what_failed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only failures in a row count."""
    study_id = posted()
    with monkeypatch.context() as patch:
        patch.setattr(random_search, "suggest", breaks)
        advance_study(study_id)
    let_time_pass()
    advance_study(study_id)
    study = study_of(study_id)
    assert (study.turn_attempts, study.turn_error, study.trials_created) == (0, None, 2)


def test_work_that_takes_too_long_is_interrupted_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says how long it was allowed to take."""
    study_id = posted()
    monkeypatch.setattr(study_worker, "TURN_SECONDS", 0.05)
    monkeypatch.setattr(study_worker, "TIME_LIMITS", 0)

    def endless(*_: Any, **__: Any) -> list[Suggestion]:
        while True:
            sum(range(1000))

    monkeypatch.setattr(random_search, "suggest", endless)
    advance_study(study_id)
    study = study_of(study_id)
    assert (study.turn_attempts, study.turn_error) == (1, "TimeLimitReached: it took more than 0.05 s")


def test_a_worker_that_lost_its_turn_changes_nothing_of_it() -> None:
    """It slept past its lease, and another one has the turn."""
    posted()
    late = begun()
    let_time_pass()
    turns.take_back_silent()
    let_time_pass()
    begun()
    for word in (turns.finish, turns.give_back, lambda turn: turns.fail(turn, ValueError())):
        word(late)
    with transaction() as session:
        study = session.scalars(select(Study)).one()
        assert study.turn_attempts == 2
        assert study.turn_holder is not None


def test_a_database_that_goes_away_is_no_fault_of_the_study() -> None:
    """The turn is given back, at no cost of an attempt."""
    study_id = posted()
    turns.give_back(begun())
    assert study_of(study_id).turn_attempts == 0
    assert begun().study_id == study_id


def test_a_weighing_that_breaks_costs_the_study_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It proposes on, and after three tries it is weighed no more until it is resumed."""
    study_id = posted(budget={"trials": 20}, parallelism=4)
    calls: list[int] = []

    def break_too(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise MemoryError

    monkeypatch.setattr(importance, "weigh_parameters", break_too)
    for _ in range(6):
        advance_study(study_id)
        claimed = leases.claim("w")
        assert claimed is not None
        leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    study = study_of(study_id)
    assert study.state is StudyState.ACTIVE
    assert (len(calls), study.weighing_attempts, study.turn_attempts) == (3, 3, 0)


def test_a_proposer_that_repeats_itself_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each suggestion is a trial of the study already as it is stored: model-free draws take over."""
    study_id = posted(proposals={"proposer": "sobol", "ahead": 0, "default_starting_points": False})
    advance_study(study_id)
    claimed = leases.claim("w")
    assert claimed is not None
    with transaction() as session:
        (trial,) = queries.list_trials(session, study_id)
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)

    def repeat(*_: Any, count: int, **__: Any) -> list[Suggestion]:
        return [Suggestion(trial.parameters, "sobol")] * count

    monkeypatch.setattr("service.optimization.proposers.sobol.suggest", repeat)
    advance_study(study_id)
    with transaction() as session:
        rules = [trial.generated_by for trial in queries.list_trials(session, study_id)]
    assert rules == ["sobol", "random"]


def test_a_study_for_which_nothing_new_is_found_ends_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is looked for; it does not stay active without a word."""
    study_id = posted(proposals={"proposer": "sobol", "ahead": 0, "default_starting_points": False})
    advance_study(study_id)
    claimed = leases.claim("w")
    assert claimed is not None
    with transaction() as session:
        (trial,) = queries.list_trials(session, study_id)
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)

    def repeat(*_: Any, count: int, **__: Any) -> list[Suggestion]:
        return [Suggestion(trial.parameters, "again")] * count

    for proposer in ("sobol", "random_search"):
        monkeypatch.setattr(f"service.optimization.proposers.{proposer}.suggest", repeat)
    advance_study(study_id)
    study = study_of(study_id)
    assert study.state is StudyState.SUCCEEDED
    assert str(study.state_reason).startswith("no new configuration was found")


def test_a_parked_study_still_takes_the_results_of_what_runs() -> None:
    """A runner that has a trial ends it; nothing new is handed out."""
    study_id = posted(parallelism=2)
    advance_study(study_id)
    claimed = leases.claim("w")
    assert claimed is not None
    for _ in range(settings().max_attempts):
        with transaction() as session:
            session.execute(update(Study).values(turn_due_at=func.now()))
        begun()
        let_time_pass()
        sweeper.sweep_once()
    assert leases.claim("w") is None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    with transaction() as session:
        states = [trial.state for trial in queries.list_trials(session, study_id)]
    assert states.count(TrialState.SUCCEEDED) == 1
