"""What the models believe is kept beside the front: the newest only, and never beyond a correction."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyCreate
from service.storage.models import Event, Study
from service.trials.beliefs import Belief, BelievedTrials, belief_of, forget, is_noisy, record_belief
from tests.conftest import make_study_request
from tests.service.trials.test_ask_and_tell import custom_body
from tests.service.trials.test_lifecycle import create

TRIALS = BelievedTrials(
    ids=["a", "b"],
    means={"score": [0.7, 0.8]},
    deviations={"score": [0.01, 0.02]},
    front_probabilities=[0.3, 0.9],
    default_trial_id=None,
    lead_deviations=None,
    noise=None,
)


def belief(sequence: int, *members: str) -> Belief:
    return Belief(sequence=sequence, members=members, hypervolume=0.5, trials=TRIALS)


def told(session: Session, study: Study) -> int:
    mine = (Event.study_id == study.id) & (Event.type == EventType.FRONT_BELIEVED)
    return session.scalars(select(func.count()).where(mine)).one()


def test_only_what_more_results_say_replaces_a_belief(session: Session) -> None:
    """Two study workers may model at once; each that is stored is told."""
    study = create(session, make_study_request())
    assert belief_of(session, study) is None
    for sequence in (5, 5, 4, 7):
        record_belief(session, study, belief(sequence, "b"))
    session.flush()
    found = belief_of(session, study)
    assert found is not None
    assert (found.sequence, list(found.members), found.hypervolume) == (7, ["b"], 0.5)
    assert told(session, study) == 2


def test_what_is_believed_of_a_trial_is_read_by_its_id(session: Session) -> None:
    """Of a trial that the models have not seen, nothing."""
    study = create(session, make_study_request())
    record_belief(session, study, belief(5, "b"))
    found = belief_of(session, study)
    assert found is not None
    assert found.trials.predictions("b")["score"].mean == 0.8
    assert found.trials.front_probability("b") == 0.9
    assert (found.trials.predictions("new"), found.trials.front_probability("new")) == ({}, None)


def test_a_belief_without_a_front_is_none(session: Session) -> None:
    """Where every trial broke a limit."""
    study = create(session, make_study_request())
    record_belief(session, study, belief(5))
    assert belief_of(session, study) is None


def test_a_correction_takes_the_belief_away(session: Session) -> None:
    """Until there is another, what was measured counts."""
    study = create(session, make_study_request())
    record_belief(session, study, belief(5, "b"))
    forget(session, study)
    session.expire_all()
    assert belief_of(session, study) is None


def test_metrics_of_our_workers_are_noisy_and_known_ones_exact(session: Session) -> None:
    """In a custom study only several seeds say that a metric is noisy."""
    known = [{"metric": "trainable_parameters", "direction": "minimize"}]
    assert is_noisy(create(session, make_study_request()))
    assert not is_noisy(create(session, make_study_request(objectives=known)))
    for seeds, noisy in (({}, False), ({"replicates": 2}, True), ({"final_replicates": 1}, True)):
        request = StudyCreate.model_validate(custom_body(**seeds))
        assert is_noisy(create(session, request)) is noisy
