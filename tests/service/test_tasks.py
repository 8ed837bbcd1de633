"""The study worker's one task: who proposes, and what happens where nobody can."""

import sys

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from service.models import Event, Study, Trial
from service.studies import steering
from service.tasks import advance_study
from tests.conftest import make_study_request
from tests.service.studies.test_lifecycle import create, queue


def study_by(session: Session, proposer: str) -> Study:
    request = make_study_request(
        proposals={"proposer": proposer, "default_starting_points": False}, parallelism=2
    )
    study = create(session, request)
    session.commit()
    return study


def last_event(session: Session, study: Study) -> Event:
    return session.scalars(
        select(Event).where(Event.study_id == study.id).order_by(Event.sequence.desc()).limit(1)
    ).one()


@pytest.mark.parametrize("proposer", ["random", "tpe"])
def test_the_chosen_proposer_proposes(session: Session, proposer: str) -> None:
    """Two trials and one ahead, each with the name of who proposed it."""
    study = study_by(session, proposer)
    advance_study(study.id)
    names = session.scalars(select(Trial.generated_by).where(Trial.study_id == study.id)).all()
    assert list(names) == [proposer] * 3


def test_a_study_that_nobody_can_propose_for_fails_with_the_cure(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever without a word."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    study = study_by(session, "nsga2")
    advance_study(study.id)
    session.refresh(study)
    assert study.state is StudyState.FAILED
    assert study.state_reason is not None
    assert "paretune[proposers]" in study.state_reason
    event = last_event(session, study)
    assert (event.type, event.body) == (EventType.STUDY_FAILED, {"reason": study.state_reason})


def test_a_study_with_trials_is_paused_instead_and_goes_on_once_mended(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that came back without the package costs no result."""
    study = study_by(session, "nsga2")
    queue(session, study)
    session.commit()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "optuna", None)
        advance_study(study.id)
    session.refresh(study)
    assert study.state is StudyState.PAUSED
    assert "optuna" in str(study.state_reason)
    assert last_event(session, study).type == EventType.STUDY_PAUSED
    steering.resume(session, study)
    session.commit()
    assert study.state_reason is None
    advance_study(study.id)
    session.refresh(study)
    assert study.trials_created == 3
