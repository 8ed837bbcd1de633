"""When the parameters of a study are weighed, and what is kept."""

import random

from sqlalchemy.orm import Session

from api_schemas.importance import Importance, ObjectiveImportance
from api_schemas.search_space import SearchSpace
from api_schemas.trials import TrialReport, TrialState
from service.api.read_models.slices import slice_read
from service.api.read_models.studies import importance as importance_read
from service.optimization.candidates import density_sample
from service.storage import queries
from service.storage.models import Study
from service.study_worker import advance_study
from service.suggestions.parameter_importance import read_importance_request, store_weighing
from service.trials import lifecycle, study_lifecycle
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import create, finish, queue, start, succeeded

COST = ObjectiveImportance(metric="trainable_parameters", parameters=())
SCORE = ObjectiveImportance(metric="score", parameters=())


def study_with(session: Session, results: int, *, budget: int = 100) -> Study:
    study = create(session, make_study_request(budget={"trials": budget}, parallelism=30))
    for number in range(results):
        finish(session, study, start(session, study, queue(session, study)), succeeded(0.5 + number / 100))
    study.turn_due_at = None  # its turn has begun
    return study


def kept(observations: int) -> Importance:
    return Importance(observations=observations, objectives=(SCORE, COST))


def test_a_study_that_is_gone_is_not_weighed(session: Session) -> None:
    """A late wake-up finds nothing and says nothing."""
    assert read_importance_request(session, "std_none") is None
    store_weighing(session, "std_none", kept(1))


def test_what_teaches_nothing_is_not_weighed(session: Session) -> None:
    """An infeasible trial has no metrics; the answer says that there is no result yet."""
    study = study_with(session, 0)
    trial = start(session, study, queue(session, study))
    finish(session, study, trial, TrialReport(state=TrialState.INFEASIBLE, reason="out-of-memory"))
    assert read_importance_request(session, study.id) is None
    assert importance_read(session, study) == Importance(reason="no result yet")


def test_results_that_nobody_has_weighed_are_counted(session: Session) -> None:
    """After an import there are results, and the answer does not deny them."""
    for count, words in ((1, "1 result is not weighed yet"), (3, "3 results are not weighed yet")):
        reason = importance_read(session, study_with(session, count)).reason
        assert reason is not None
        assert reason.startswith(words)


def test_a_running_study_is_weighed_again_after_a_tenth_more(session: Session) -> None:
    """Eleven results after ten, not twelve after eleven; and the same results never twice."""
    study = study_with(session, 11)
    queue(session, study)
    for before, again in ((10, True), (11, False)):
        study_lifecycle.record_importance(session, study, kept(before))
        assert (read_importance_request(session, study.id) is not None) == again
    finish(session, study, start(session, study, queue(session, study)), succeeded())
    assert read_importance_request(session, study.id) is None


def test_a_queue_that_fast_runners_have_emptied_is_filled_before_anything_is_weighed(
    session: Session,
) -> None:
    """Nothing is open for a moment, which ends nothing; and while results come, twice as many must."""
    study = study_with(session, 11)
    study_lifecycle.record_importance(session, study, kept(11))
    finish(session, study, start(session, study, queue(session, study)), succeeded())
    study.turn_due_at = None
    assert read_importance_request(session, study.id) is None
    for before, again in ((7, False), (6, True)):
        study.importance = kept(before).model_dump(mode="json")
        study.turn_due_at = study.woken_at
        assert (read_importance_request(session, study.id) is not None) == again


def test_the_last_result_of_a_study_is_weighed(session: Session) -> None:
    """Nothing else will come that could outgrow what is known."""
    study = study_with(session, 12, budget=12)
    study_lifecycle.record_importance(session, study, kept(11))
    request = read_importance_request(session, study.id)
    assert request is not None
    assert len(request.observations) == 12
    assert request.earlier == (COST,)


def test_a_late_answer_does_not_replace_a_newer_one(session: Session) -> None:
    """Two study workers may weigh at once; the one that knew more wins."""
    study = study_with(session, 0)
    for observations in (20, 12, 25):
        store_weighing(session, study.id, kept(observations))
    assert importance_read(session, study).observations == 25
    store_weighing(session, study.id, kept(24))
    assert importance_read(session, study).observations == 25


def test_the_study_worker_weighs_what_has_ended(session: Session) -> None:
    """A wake-up of a study that has spent its budget proposes nothing and stores what matters."""
    study = create(session, make_study_request(budget={"trials": 20}))
    space = SearchSpace.model_validate(study.search_space)
    for number, values in enumerate(density_sample(space, 20, rng=random.Random(0))):
        trial = lifecycle.add_trial(
            session, study, parameters=values, configuration=study.configuration,
            configuration_key=str(number), generated_by="test", proposal_seconds=0.0,
        )  # fmt: skip
        size = float(values["peft.serial_adapter.bottleneck_size"])
        finish(session, study, start(session, study, trial), succeeded(0.5 + size / 1000))
    session.commit()
    advance_study(study.id)
    session.refresh(study)
    found = importance_read(session, study)
    assert (found.observations, found.reason) == (20, None)
    assert [item.metric for item in found.objectives] == ["score", "trainable_parameters"]
    seen = slice_read(session, study, objective=None, parameter=None, second=None)
    assert seen.observations == 20
    assert seen.parameters[0] == found.objectives[0].parameters[0].name
    assert seen.slice is not None
    best = max(queries.list_trials(session, study.id), key=lambda trial: trial.metrics["score"])
    assert seen.through_number == best.number
    assert found.objectives[0].parameters[0].name == "peft.serial_adapter.bottleneck_size"
