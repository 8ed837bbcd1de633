"""A running trial is judged while it is measured, on a real Postgres."""

import pytest
from sqlalchemy import event

from api_schemas.trials import Measurement, TrialReport, TrialState
from service.storage.database import engine, transaction
from service.storage.models import Study, Trial
from service.suggestions import study_suggestions
from service.trials import leases
from tests.service.trials.test_leases import stored_study

pytestmark = pytest.mark.usefixtures("service_environment")


def measured(share: float, score: float, *, cost: float = 1000.0) -> Measurement:
    metrics = {"share": share, "score": score, "loss": 1 - score, "train_loss": 1 - score}
    return Measurement(step=round(4 * share), metrics={**metrics, "trainable_parameters": cost})


def train_to_the_end(score: float) -> None:
    claimed = leases.claim("w")
    assert claimed is not None
    for share in (0.25, 0.5, 0.75, 1.0):
        now = 0.5 + (score - 0.5) * share
        assert not leases.record_measurement(claimed.trial_id, claimed.attempt, measured(share, now))
    metrics = {"score": score, "trainable_parameters": 1000.0}
    report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics)
    leases.complete(claimed.trial_id, claimed.attempt, report)


def test_a_trial_that_cannot_add_anything_is_told_to_stop() -> None:
    """After eight others; the answer is repeatable, the reason is a sentence, the front is as it was."""
    study_id = stored_study(trials=10, budget=20)
    for score in (0.7, 0.8, 0.75, 0.72, 0.78, 0.74, 0.76, 0.73):
        train_to_the_end(score)
    claimed = leases.claim("w")
    assert claimed is not None
    hopeless = measured(0.5, 0.51)
    assert leases.record_measurement(claimed.trial_id, claimed.attempt, hopeless)
    assert leases.record_measurement(claimed.trial_id, claimed.attempt, hopeless)
    leases.complete(claimed.trial_id, claimed.attempt, TrialReport(state=TrialState.STOPPED_EARLY))
    with transaction() as session:
        trial = session.get_one(Trial, claimed.trial_id)
        assert trial.state is TrialState.STOPPED_EARLY
        assert trial.state_reason is not None
        assert trial.state_reason.startswith("stopped after 50% of its training: its chance of adding")
        assert trial.metrics["score"] == 0.51
        assert 0.45 < trial.metrics["predicted_score"] < 0.7
        assert session.get_one(Study, study_id).front_sequence == 8
        (taught,) = [
            item for item in study_suggestions.read_request(session, study_id).observations  # type: ignore[union-attr]
            if item.metrics and item.metrics["score"] == trial.metrics["predicted_score"]
        ]  # fmt: skip
    assert taught.metrics is not None
    assert taught.metrics["trainable_parameters"] == 1000.0
    promising = leases.claim("w")
    assert promising is not None
    assert not leases.record_measurement(promising.trial_id, promising.attempt, measured(0.5, 0.7))


def test_a_study_that_never_stops_tells_nobody_to() -> None:
    """The setting is the study's."""
    stored_study(trials=9, early_stopping="never")
    for score in (0.7, 0.8, 0.75, 0.72, 0.78, 0.74, 0.76, 0.73):
        train_to_the_end(score)
    claimed = leases.claim("w")
    assert claimed is not None
    assert not leases.record_measurement(claimed.trial_id, claimed.attempt, measured(0.5, 0.51))


def test_a_stop_without_a_measurement_is_a_failure_of_the_worker() -> None:
    """Nothing would be known of the trial; it is tried again."""
    stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, TrialReport(state=TrialState.STOPPED_EARLY))
    again = leases.claim("w")
    assert again is not None
    assert (again.trial_id, again.attempt) == (claimed.trial_id, 2)


@pytest.mark.parametrize(("finished", "share"), [(7, 0.5), (8, 1.0)])
def test_no_curve_is_read_where_no_trial_can_be_stopped(finished: int, share: float) -> None:
    """Before eight have finished, and at the end of a training."""
    stored_study(trials=finished + 1)
    for _ in range(finished):
        train_to_the_end(0.7)
    claimed = leases.claim("w")
    assert claimed is not None
    said: list[str] = []
    listen = (engine(), "before_cursor_execute", lambda *words: said.append(words[2]))
    event.listen(*listen)
    try:
        assert not leases.record_measurement(claimed.trial_id, claimed.attempt, measured(share, 0.51))
    finally:
        event.remove(*listen)
    assert any("INSERT INTO measurements" in statement for statement in said)
    assert not any("lag(" in statement for statement in said)
