"""The study worker's one task: who proposes, and what happens where nobody can."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.storage.models import Event, Study, Trial
from service.study_worker import advance_study
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import create


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


@pytest.mark.parametrize("proposer", ["random", "sobol"])
def test_the_chosen_proposer_proposes(session: Session, proposer: str) -> None:
    """Two trials and one ahead, each with the name of who proposed it."""
    study = study_by(session, proposer)
    advance_study(study.id)
    names = session.scalars(select(Trial.generated_by).where(Trial.study_id == study.id)).all()
    assert list(names) == [proposer] * 3
