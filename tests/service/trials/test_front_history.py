"""Stored fronts: found from the last one, and equal to what a recomputation over all trials gives."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from api_schemas.objectives import OutcomeConstraint
from api_schemas.trials import TrialReport, TrialState
from service.storage import queries
from service.storage.database import engine
from service.storage.models import Study, Trial
from service.trials import front_history, lifecycle
from service.trials.pareto_front import front_members, hypervolume, satisfies
from service.trials.results import results_of
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import OBJECTIVES, create, finish, queue, start

LIMIT = {"metric": "latency_ms", "op": "<=", "bound": 0.8}


def recomputed(session: Session, study: Study) -> tuple[set[str], float]:
    limits = [OutcomeConstraint.model_validate(item) for item in study.constraints]
    kept = [item for item in results_of(session, study.id) if satisfies(limits, item.metrics)]
    members = [kept[place] for place in front_members(OBJECTIVES, [item.metrics for item in kept])]
    assert study.reference_point is not None
    volume = hypervolume(
        OBJECTIVES, [member.metrics for member in members], reference_point=study.reference_point
    )
    return {member.trial_id for member in members}, volume


def end(session: Session, study: Study, trial: Trial, score: float, parameters: float, ms: float) -> None:
    metrics = {
        "score": score,
        "trainable_parameters": parameters,
        "latency_ms": ms,
        "peak_memory_bytes": 1.0,
        "training_seconds": 1.0,
    }
    finish(
        session, study, start(session, study, trial), TrialReport(state=TrialState.SUCCEEDED, metrics=metrics)
    )


@contextmanager
def statements() -> Iterator[list[str]]:
    found: list[str] = []

    def note(*arguments: object) -> None:
        found.append(str(arguments[2]))

    event.listen(engine(), "before_cursor_execute", note)
    yield found
    event.remove(engine(), "before_cursor_execute", note)


@pytest.mark.parametrize("from_objectives", [1, front_history.FROM_OBJECTIVES])
@pytest.mark.parametrize("seed", range(3))
def test_every_front_equals_a_recomputation(
    session: Session, monkeypatch: pytest.MonkeyPatch, seed: int, from_objectives: int
) -> None:
    """With a limit that some break, with equal points, and where a second seed makes a member worse.

    Also where a volume is the last one and what is added, as it is with many objectives.
    """
    monkeypatch.setattr(front_history, "FROM_OBJECTIVES", from_objectives)
    rng = random.Random(seed)
    request = make_study_request(budget={"trials": 40}, parallelism=40, constraints=[LIMIT])
    study = create(session, request)
    trials: list[Trial] = []
    for _ in range(25):
        repeated = rng.choice(trials) if trials and rng.random() < 0.3 else None
        if repeated is None:
            trials.append(queue(session, study))
        else:
            lifecycle.repeat_trial(session, study, repeated)
        trial = repeated or trials[-1]
        score, parameters = rng.randint(1, 6) / 10, float(10 ** rng.randint(1, 5))
        end(session, study, trial, score, parameters, rng.random())
        session.flush()
        members, volume = recomputed(session, study)
        front = queries.latest_front(session, study)
        assert front is not None
        assert (set(front.member_trial_ids), front.trial_id) == (members, trial.id)
        assert front.hypervolume == pytest.approx(volume)


def test_a_new_result_is_weighed_against_the_front_alone(session: Session) -> None:
    """The results that the front dominates are not read again."""
    study = create(session, make_study_request(budget={"trials": 40}, parallelism=40))
    for parameters in (1000.0, 2000.0, 3000.0):
        end(session, study, queue(session, study), 0.7, parameters, 1.0)
    last = start(session, study, queue(session, study))
    session.flush()
    metrics = {"score": 0.8, "trainable_parameters": 9000.0, "latency_ms": 1.0}
    with statements() as found:
        report = TrialReport(
            state=TrialState.SUCCEEDED,
            metrics={**metrics, "peak_memory_bytes": 1.0, "training_seconds": 1.0},
        )
        finish(session, study, last, report)
        session.flush()
    everything = [text for text in found if "FROM trials" in text and "trials.state = " in text]
    assert everything == []
    front = queries.latest_front(session, study)
    assert front is not None
    assert len(front.member_trial_ids) == 2
