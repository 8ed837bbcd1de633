"""A configuration whose result is known: reused across studies, or repeated with further seeds."""

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from service.optimization.problem import Suggestion
from service.storage import queries
from service.storage.models import Artifact, Event, Study, Tenant, Trial
from service.suggestions.study_suggestions import read_request, store_suggestions
from service.trials import lifecycle
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import COSTS, MAX_ATTEMPTS, create, replicates_of

SIZE = "peft.serial_adapter.bottleneck_size"
SPACE = {"parameters": [{"type": "ordinal", "name": SIZE, "choices": [0, 24]}]}
RECORD = ArtifactRecord(name="adapter.safetensors", path="a/b", sha256="0" * 64, size_bytes=3)


def study_with(session: Session, policy: str, **changes: Any) -> Study:
    proposals = {"duplicates": policy, "default_starting_points": False}
    return create(session, make_study_request(proposals=proposals, search_space=SPACE, **changes))


def propose(session: Session, study: Study, *sizes: int) -> list[Trial]:
    """Store these suggestions, as if there were no others; give all trials."""
    request = read_request(session, study.id)
    assert request is not None
    suggestions = [Suggestion({SIZE: size}, "logehvi") for size in sizes]
    store_suggestions(session, study.id, suggestions, request=request, seconds=0.0)
    return queries.list_trials(session, study.id)


def run_next(session: Session, study: Study, *, score: float = 0.7, **changes: Any) -> None:
    trial = queries.next_queued(session, study.id)
    assert trial is not None
    lifecycle.start_trial(session, study, trial, worker="w", lease_seconds=60)
    metrics = {"score": score, "trainable_parameters": 1000.0, **COSTS}
    report = {"state": "SUCCEEDED", "metrics": metrics, "artifacts": (RECORD,), "provenance": {"torch": "2"}}
    lifecycle.finish_trial(
        session, study, trial, attempt=trial.attempt,
        report=TrialReport.model_validate(report | changes), max_attempts=MAX_ATTEMPTS,
    )  # fmt: skip


def test_a_result_of_another_study_is_reused_with_its_provenance(session: Session) -> None:
    """Without a worker: the trial is on the front, with the metrics and files of the one that trained."""
    first = study_with(session, "reject")
    (trained, _) = propose(session, first, 24, 0)
    run_next(session, first, score=0.8)
    for _ in range(2):
        study = study_with(session, "reuse")
        (reused,) = propose(session, study, 24)
        assert reused.state is TrialState.SUCCEEDED
        assert reused.metrics == trained.metrics
        (replicate,) = replicates_of(session, reused)
        assert replicate.provenance == {"reused_from": trained.id, "torch": "2"}
        assert (replicate.attempt, study.trials_created, study.front_sequence) == (0, 1, 1)
        assert session.get_one(Artifact, (reused.id, RECORD.name)).path == RECORD.path
        events = session.scalars(
            select(Event.type).where(Event.study_id == study.id).order_by(Event.sequence)
        )
        assert list(events)[:5] == [
            EventType.STUDY_CREATED, EventType.TRIAL_QUEUED, EventType.REPLICATE_ENDED,
            EventType.TRIAL_SUCCEEDED, EventType.FRONT_STORED,
        ]  # fmt: skip


def test_a_study_of_known_results_alone_ends_without_a_worker(session: Session) -> None:
    """The last reused result spends the budget, even where the space held fewer than were asked for."""
    propose(session, first := study_with(session, "reject"), 24, 0)
    run_next(session, first)
    run_next(session, first)
    study = study_with(session, "reuse", budget={"trials": 2}, parallelism=3)
    propose(session, study, 0, 24)
    assert study.state is StudyState.SUCCEEDED


@pytest.mark.parametrize("why_not", ["seed", "tenant", "metric", "replicates", "infeasible", "policy"])
def test_what_is_not_the_same_result_is_trained(session: Session, why_not: str) -> None:
    """Another seed, somebody else's study, a metric or a seed that is missing, a result that was none."""
    first = study_with(session, "reject")
    propose(session, first, 24)
    run_next(session, first, **({"state": "INFEASIBLE"} if why_not == "infeasible" else {}))
    changes: dict[str, Any] = {}
    if why_not == "seed":
        base = make_study_request().configuration.model_dump(mode="json")
        changes["configuration"] = {**base, "training": {"seed": 1}}
    elif why_not == "tenant":
        other = session.scalars(select(Tenant.id).where(Tenant.name == "other")).one()
        session.execute(update(Study).values(tenant_id=other))
    elif why_not == "metric":
        session.flush()
        for replicate in replicates_of(session, queries.list_trials(session, first.id)[0]):
            replicate.metrics = {"score": 0.7}
    elif why_not == "replicates":
        changes["replicates"] = 2
    study = study_with(session, "reject" if why_not == "policy" else "reuse", **changes)
    (trial,) = propose(session, study, 24)
    assert trial.state is TrialState.QUEUED


def test_a_space_that_is_spent_repeats_its_front(session: Session) -> None:
    """Each further seed costs one trial; the least repeated goes first; then the study ends."""
    study = study_with(session, "replicate", budget={"trials": 5})
    trials = propose(session, study, 24, 0)
    for score in (0.7, 0.8):
        run_next(session, study, score=score)
        if sum(queries.open_replicates(session, study.id)) < 2:
            propose(session, study)
    assert study.trials_created == 4
    while study.state is StudyState.ACTIVE:
        run_next(session, study, score=0.9)
        if read_request(session, study.id) is not None:
            propose(session, study)
    assert (study.state, study.trials_created) == (StudyState.SUCCEEDED, 5)
    seeds = [[replicate.seed for replicate in replicates_of(session, trial)] for trial in trials]
    assert sorted(map(len, seeds)) in ([2, 3], [1, 4])
    assert sum(map(len, seeds)) == 5
    assert len(queries.list_trials(session, study.id)) == 2


def test_a_spent_space_without_a_front_ends_the_study(session: Session) -> None:
    """There is nothing worth repeating."""
    study = study_with(session, "replicate", budget={"trials": 5})
    propose(session, study, 24, 0)
    for _ in range(2):
        run_next(session, study, state="INFEASIBLE")
    propose(session, study)
    assert study.state is StudyState.SUCCEEDED
