"""What the trace of an attempt at a trial shows."""

import pytest

from api_schemas.trials import TrialReport, TrialState
from service.runtime.broker import ADVANCE_STUDY, RUN_TRIAL
from service.storage.database import transaction
from service.storage.models import Study
from service.trials import leases
from tests.service.traces import finished_spans
from tests.service.trials.test_leases import stored_study
from tests.workers.conftest import SMALL
from workers import spans, trial_worker

pytestmark = pytest.mark.usefixtures("service_environment", "signal_handlers")


def test_an_attempt_has_its_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which trial and attempt, what it spent its time on, how it ended, and the wake-up that it sent."""
    study_id = stored_study(trials=1, configuration=SMALL)
    with transaction() as session:
        # Whoever wakes a study that is due already sends nothing.
        session.get_one(Study, study_id).turn_due_at = None
    finished = finished_spans(monkeypatch)
    trial_worker.run_next_trial()
    (attempt,) = finished.named("attempt")
    assert finished.path(attempt) == [f"run {RUN_TRIAL}", "attempt"]
    assert attempt.attributes is not None
    assert attempt.attributes["study_id"] == study_id
    assert attempt.attributes["attempt"] == 1
    (ended,) = attempt.events
    assert ended.attributes is not None
    assert (ended.name, ended.attributes["state"]) == ("ended", "SUCCEEDED")
    phases = {span.name for span in finished.spans if finished.parent(span) is attempt}
    assert phases >= {"tokenise", "train", "evaluate", "save"}
    (train,) = finished.named("train")
    assert [epoch.name for epoch in train.events] == ["epoch"] * 2
    assert {finished.path(span)[-2] for span in finished.named("evaluate")} == {"train", "attempt"}
    assert finished.path(finished.named(f"send {ADVANCE_STUDY}")[0])[:2] == [f"run {RUN_TRIAL}", "attempt"]


def test_a_failed_attempt_is_an_error_and_heartbeats_leave_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial of a pack has a span; what failed shows in the one that is open."""
    stored_study(trials=2, parallelism=2)
    pack = [found for found in (leases.claim("w"), leases.claim("w")) if found is not None]
    finished = finished_spans(monkeypatch)
    with spans.attempt_spans(pack):
        with spans.without_trace():
            leases.heartbeat(pack[0].trial_id, pack[0].attempt)
        spans.mark_end(pack[0], TrialReport(state=TrialState.FAILED, reason="no disk"))
    first, second = finished.spans
    assert second.attributes is not None
    assert second.attributes["packed_under"] == pack[0].trial_id
    assert (first.status.is_ok, first.status.description) == (False, "no disk")
