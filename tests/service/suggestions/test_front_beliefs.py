"""When the front of a study is modelled, and that the study worker does it."""

import random

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.search_space import SearchSpace
from api_schemas.trials import TrialReport, TrialState
from service.api.read_models.fronts import pareto_front
from service.errors import InternalError
from service.optimization import believed_front
from service.optimization.problem import Compared
from service.settings import settings
from service.storage.models import Event, Study
from service.study_worker import advance_study
from service.suggestions.front_beliefs import read_belief_request, store_beliefs
from service.trials import beliefs, lifecycle
from tests.conftest import make_study_request
from tests.service.api.read_models.test_recommendations import LORA_8, add
from tests.service.trials.test_beliefs import belief, told
from tests.service.trials.test_lifecycle import COSTS, create, finish, queue, start


def study_with(session: Session, results: int, **changes: object) -> Study:
    """A study with its turn begun; the score of a trial follows from its parameters, with noise."""
    study = create(session, make_study_request(budget={"trials": 60}, parallelism=30, **changes))
    space = SearchSpace.model_validate(study.search_space)
    rng = random.Random(0)
    for number, values in enumerate(density_of(space, results)):
        trial = lifecycle.add_trial(
            session, study, parameters=values, configuration=study.configuration,
            configuration_key=str(number), generated_by="test", proposal_seconds=0.0,
        )  # fmt: skip
        size = float(values["peft.serial_adapter.bottleneck_size"])
        metrics = {
            "score": 0.5 + size / 1000 + rng.gauss(0.0, 0.02),
            "trainable_parameters": 770 + 1000 * size,
            **COSTS,
        }
        report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics)
        finish(session, study, start(session, study, trial), report)
    study.turn_due_at = None
    return study


def density_of(space: SearchSpace, count: int) -> list[dict[str, object]]:
    from service.optimization.candidates import density_sample

    return density_sample(space, count, rng=random.Random(0))


def test_a_study_that_is_gone_or_has_no_result_is_not_modelled(session: Session) -> None:
    """A late wake-up finds nothing and says nothing."""
    assert read_belief_request(session, "std_none") is None
    assert read_belief_request(session, study_with(session, 0).id) is None


def test_the_same_results_are_modelled_once(session: Session) -> None:
    """Another result makes it worth it again; for a study that is due, a tenth more must have come."""
    study = study_with(session, 11)
    assert read_belief_request(session, study.id) is not None
    beliefs.record_belief(session, study, belief(11, "b"))
    assert read_belief_request(session, study.id) is None
    add(session, study, [0.7], 1000)
    study.turn_due_at = None
    request = read_belief_request(session, study.id)
    assert request is not None
    assert (request.sequence, len(request.observations)) == (12, 12)
    study.turn_due_at = study.woken_at
    assert read_belief_request(session, study.id) is None
    add(session, study, [0.7], 1000)
    assert read_belief_request(session, study.id) is not None


def test_a_study_whose_metrics_are_exact_pays_nothing(session: Session) -> None:
    """Its objectives are known before any trial."""
    known = [{"metric": "trainable_parameters", "direction": "minimize"}]
    study = study_with(session, 8, objectives=known)
    assert read_belief_request(session, study.id) is None
    advance_study(study.id)
    assert told(session, study) == 0


def test_a_study_whose_models_kill_the_worker_is_left_alone(session: Session) -> None:
    """Each attempt is counted before it begins; success forgets them."""
    study = study_with(session, 8)
    request = read_belief_request(session, study.id)
    assert request is not None
    study.believing_attempts = settings().max_attempts
    assert read_belief_request(session, study.id) is None
    store_beliefs(session, study.id, None, request=request)
    assert study.believing_attempts == 0
    store_beliefs(session, "std_none", None, request=request)


def test_trials_are_compared_with_the_default(session: Session) -> None:
    """LoRA of rank 8, by its key; without one, with none."""
    study = study_with(session, 8)
    request = read_belief_request(session, study.id)
    assert request is not None
    assert request.compared_with is None
    default = add(session, study, [0.7], 74_498, peft=LORA_8)
    study.turn_due_at = None
    request = read_belief_request(session, study.id)
    assert request is not None
    assert request.compared_with == Compared(default.configuration_key, "score")


def test_the_study_worker_stores_what_it_believes(session: Session) -> None:
    """Once for the same results, with its event; the front by belief has both numbers of each member."""
    study = study_with(session, 30)
    queue(session, study)
    study.turn_due_at = study.woken_at
    session.commit()
    advance_study(study.id)
    session.refresh(study)
    found = pareto_front(session, study)
    assert (found.by, found.sequence, found.believed_sequence) == ("believed", 30, 30)
    assert found.hypervolume is not None
    for point in found.points:
        assert point.believed.keys() == {"score"}
        assert point.believed["score"].mean != point.metrics["score"]
        assert point.front_probability is not None
    assert told(session, study) == 1
    events = select(func.count()).where(Event.study_id == study.id, Event.type == "front.believed")
    advance_study(study.id)
    assert session.scalars(events).one() == 1


def test_a_failing_model_costs_the_study_nothing_else(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials are proposed, the observed front is shown, and the failure is counted."""

    def fail(*_: object, **__: object) -> None:
        raise InternalError("no memory")

    monkeypatch.setattr(believed_front, "believe", fail)
    study = study_with(session, 12)
    study.turn_due_at = study.woken_at
    session.commit()
    advance_study(study.id)
    session.refresh(study)
    assert study.trials_created > 12
    assert (study.believing_attempts, study.turn_error) == (1, None)
    assert pareto_front(session, study).by == "observed"
