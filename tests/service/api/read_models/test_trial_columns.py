"""Trials as columns, through the HTTP door."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api_schemas.proposals import Explanation, Prediction
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.storage import queries
from service.storage.models import Study
from service.study_worker import advance_study
from service.trials import lifecycle
from tests.service.api.read_models.test_recommendations import HEAD_ONLY, LORA_8, add, study_of
from tests.service.trials.test_ask_and_tell import asked, created, told
from tests.service.trials.test_lifecycle import COSTS, finish, lose, queue, start

ALIKE = {"numbers": "number", "states": "state", "modules": "modules", "collapsed": "collapsed"}


def columns(http: TestClient, study_id: str, query: str = "") -> Any:
    answer = http.get(f"/v1/studies/{study_id}/trial_columns{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def report_of(score: float) -> TrialReport:
    return TrialReport(
        state=TrialState.SUCCEEDED, metrics={"score": score, "trainable_parameters": 100.0, **COSTS}
    )


def filled(session: Session) -> Study:
    study = study_of(session)
    add(session, study, [0.7], 770, peft=HEAD_ONLY)
    add(session, study, [0.76], 74_498, peft=LORA_8)
    queue(session, study)
    session.commit()
    return study


def test_columns_say_what_the_trials_say(session: Session, http: TestClient) -> None:
    """Value by value; where a trial has none, there is null."""
    study = filled(session)
    trials = http.get(f"/v1/studies/{study.id}/trials").json()["trials"]
    found = columns(http, study.id)
    for column, field in ALIKE.items():
        assert found[column] == [trial[field] for trial in trials]
    for name, values in found["metrics"].items():
        assert values == [trial["metrics"].get(name) for trial in trials]
    assert found["metrics"]["score"] == [0.7, 0.76, None]
    assert found["is_head_only"] == [True, False, False]
    assert found.pop("progress") == []
    assert {len(value) for value in found.values() if isinstance(value, list)} == {3}


def test_what_has_no_metrics_has_what_was_expected_of_it(session: Session, http: TestClient) -> None:
    """Of a trial that waits; what is measured needs no expectation any more."""
    study = filled(session)
    for trial in queries.list_trials(session, study.id):
        trial.explanation = Explanation(
            predictions={"score": Prediction(mean=0.75, standard_deviation=0.01)}
        ).model_dump()
    session.commit()
    found = columns(http, study.id)
    assert found["expected"] == {"score": [None, None, 0.75]}
    assert found["expected_deviations"] == {"score": [None, None, 0.01]}


def test_a_running_trial_says_how_far_it_has_come(session: Session, http: TestClient) -> None:
    """Its last measurement until a seed has ended, then the mean of those; one that was lost says nothing."""
    study = study_of(session, replicates=2)
    trial = queue(session, study)
    queue(session, study)
    first = start(session, study, trial).attempt
    for step, score in enumerate((0.6, 0.65), start=1):
        lifecycle.record_measurement(
            session, study, trial, attempt=first, measurement=Measurement(step=step, metrics={"score": score})
        )
    session.commit()
    (progress,) = columns(http, study.id)["progress"]
    exact = progress.pop("exact")
    assert exact["trainable_parameters"] > 0
    training = trial.configuration["training"] if trial.configuration else {}
    steps = training["epochs"] * training["measurements_per_epoch"]
    assert progress == {
        "trial_id": trial.id, "seeds": 2, "seeds_done": 0, "step": 2, "steps": steps,
        "metrics": {"score": 0.65},
    }  # fmt: skip
    known = columns(http, study.id)["sequence"]
    lose(session, study, trial)
    session.commit()
    assert columns(http, study.id, f"?changed_after={known}")["progress"] == []
    finish(session, study, start(session, study, trial), report_of(0.7))
    session.commit()
    (progress,) = columns(http, study.id)["progress"]
    assert (progress["seeds_done"], progress["step"], progress["metrics"]["score"]) == (1, None, 0.7)
    finish(session, study, start(session, study, trial), report_of(0.8))
    session.commit()
    assert columns(http, study.id)["progress"] == []


def test_a_custom_trial_has_what_its_runner_said_and_what_is_exact(http: TestClient) -> None:
    """How many steps there will be nobody has said; an expression needs no measurement."""
    watts = {"metric": "watts", "direction": "minimize", "known": "100 * learningRate"}
    study_id = created(
        http,
        objectives=[{"metric": "error", "direction": "minimize"}, watts],
        starting_points=[{"learningRate": 0.01, "kernel": "rbf"}],
    )
    advance_study(study_id)
    trial = asked(http, study_id)[0]
    assert told(http, trial, "report", step=7, metrics={"error": 0.5}).status_code == 200
    (progress,) = columns(http, study_id)["progress"]
    assert (progress["step"], progress["steps"], progress["metrics"]) == (7, None, {"error": 0.5})
    assert progress["exact"] == {"watts": 1.0}


def test_only_what_has_changed_is_read_again(session: Session, http: TestClient) -> None:
    """Whoever names an event gets the trials of later ones, and the number to go on from."""
    study = filled(session)
    known = columns(http, study.id)["sequence"]
    assert columns(http, study.id, f"?changed_after={known}")["numbers"] == []
    add(session, study, [0.8], 1000)
    session.commit()
    later = columns(http, study.id, f"?changed_after={known}")
    assert (later["numbers"], later["metrics"]["score"]) == ([3], [0.8])
    assert later["sequence"] > known


def test_a_custom_study_has_parameters_and_no_modules(http: TestClient) -> None:
    """An imported result is a row like any other; a metric called `collapsed` means nothing special."""
    study_id = created(http, starting_points=[])
    metrics = {"error": 1.0, "watts": 2.0, "collapsed": 1.0}
    observation = {"parameters": {"learningRate": 0.01, "kernel": "rbf"}, "metrics": metrics}
    answer = http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": [observation]})
    assert answer.status_code == 200, answer.text
    found = columns(http, study_id)
    assert found["parameters"] == {"learningRate": [0.01], "kernel": ["rbf"]}
    assert (found["modules"], found["collapsed"]) == ([""], [False])


def test_the_columns_of_an_unknown_study_are_not_found(http: TestClient) -> None:
    """Nor is a number that no event can have taken."""
    assert http.get("/v1/studies/std_0/trial_columns").status_code == 404
    assert http.get(f"/v1/studies/{created(http)}/trial_columns?changed_after=-1").status_code == 422
