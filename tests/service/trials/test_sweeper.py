"""What the sweeper takes back, beside others who write at the same time, on a real Postgres."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.runtime.broker import ADVANCE_STUDY
from service.storage import queries
from service.storage.database import transaction
from service.storage.expired_leases import expired_leases
from service.storage.models import Replicate, Study, Trial
from service.trials import leases, sweeper, turns
from tests.service.trials.test_leases import (
    REPORT,
    expire_all_leases,
    forget_wake_ups,
    sent_by,
    stored_study,
)

pytestmark = pytest.mark.usefixtures("service_environment")

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON {table} FOR EACH ROW WHEN (OLD.{column} = '{value}')
    EXECUTE FUNCTION refuse()
"""


def break_updates(table: str, *, column: str, value: str) -> None:
    """Let the database refuse each change of certain rows."""
    with transaction() as session:
        session.execute(text(REFUSE.format(table=table, column=column, value=value)))


def silent_studies(number: int) -> list[str]:
    """Make studies of one trial each, whose workers are silent; return the studies' ids."""
    made = [stored_study(trials=1) for _ in range(number)]
    claimed = [leases.claim("silent") for _ in made]
    assert {one.study_id for one in claimed if one is not None} == set(made)
    expire_all_leases()
    return made


def state_of(session: Session, study_id: str) -> TrialState:
    query = select(Trial.state).where(Trial.study_id == study_id)
    return session.scalars(query).one()


def test_a_lease_renewed_after_the_reaper_looked_is_left_alone() -> None:
    """It was over when the reaper looked, and is not when the reaper has the study's lock."""
    stored_study(trials=1)
    claimed = leases.claim("late")
    assert claimed is not None
    expire_all_leases()
    with transaction() as session:
        (lease,) = expired_leases(session, at_most=9)
    assert leases.heartbeat(claimed.trial_id, claimed.attempt) is False
    with transaction() as session:
        sweeper.take_back(session, lease)
    assert leases.heartbeat(claimed.trial_id, claimed.attempt) is False
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)


@pytest.mark.parametrize(
    "held",
    [
        "SELECT FROM studies WHERE id = :id FOR UPDATE",
        "SELECT FROM trials WHERE study_id = :id FOR KEY SHARE",
    ],
)
def test_what_somebody_holds_keeps_no_other_trial_waiting(held: str, session: Session) -> None:
    """Neither a study that is stuck nor a trial that is being reused; its own turn comes in a later pass."""
    stuck, other = silent_studies(2)
    with ThreadPoolExecutor(1) as thread, transaction() as holder:
        holder.execute(text(held), {"id": stuck})
        thread.submit(sweeper.sweep_once).result(timeout=20)
        assert state_of(session, other) is TrialState.QUEUED
        assert state_of(session, stuck) is TrialState.RUNNING
    sweeper.sweep_once()
    assert state_of(session, stuck) is TrialState.QUEUED


def test_a_trial_that_cannot_be_taken_back_stops_no_other(session: Session) -> None:
    """Whatever it is that breaks with it, and in whichever order they come."""
    before, broken, after = silent_studies(3)
    break_updates("replicates", column="study_id", value=broken)
    sweeper.sweep_once()
    assert [state_of(session, one) for one in (before, broken, after)] == [
        TrialState.QUEUED,
        TrialState.RUNNING,
        TrialState.QUEUED,
    ]


def test_a_trial_that_was_taken_back_waits_for_no_other_of_the_pass(session: Session) -> None:
    """Its study is free while the reaper has the next in hand."""
    first, second = silent_studies(2)
    with transaction() as listing:
        for lease in expired_leases(listing, at_most=9):
            with transaction() as one:
                sweeper.take_back(one, lease)
            study_id = session.scalars(select(Trial.study_id).where(Trial.id == lease.trial_id)).one()
            assert queries.lock_study(session, study_id, wait=False) is not None
            session.rollback()
    assert {state_of(session, study_id) for study_id in (first, second)} == {TrialState.QUEUED}


def test_more_leases_than_are_listed_at_once_are_all_taken_back(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one pass, even if those listed first cannot be."""
    monkeypatch.setattr(sweeper, "LISTED_AT_ONCE", 1)
    broken, *others = silent_studies(3)
    with transaction() as change:
        earlier = Replicate.lease_expires_at - text("interval '1 minute'")
        first = Replicate.study_id == broken
        change.execute(update(Replicate).where(first).values(lease_expires_at=earlier))
    break_updates("replicates", column="study_id", value=broken)
    sweeper.sweep_once()
    assert {state_of(session, one) for one in others} == {TrialState.QUEUED}


def test_a_forgotten_study_that_cannot_be_woken_stops_no_other(session: Session) -> None:
    """The others have their wake-up, and it stays in the database that they are due."""
    made = [stored_study(trials=0, budget=1) for _ in range(3)]
    for _ in made:
        turn = turns.begin("w")
        assert turn is not None
        turns.finish(turn)
    forget_wake_ups()
    break_updates("studies", column="id", value=made[1])
    assert sent_by(sweeper.resend_wake_ups) == [ADVANCE_STUDY] * 2
    due = session.scalars(select(Study.id).where(Study.turn_due_at.is_not(None)))
    assert set(due) == {made[0], made[2]}
