"""What a study reads of former ones."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from api_schemas.trials import Measurement, TrialReport, TrialState
from service.optimization.problem import Source
from service.optimization.suggest import suggest
from service.storage.models import Study, Trial
from service.suggestions.former_studies import sources_of, spread_over
from service.suggestions.study_suggestions import read_request, store_suggestions
from service.trials import lifecycle
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import create, finish, start, succeeded

SPACE = {
    "parameters": [
        {"type": "ordinal", "name": "peft.lora.rank", "choices": [1, 4, 16]},
        {"type": "bool", "name": "peft.active_layers.0"},
    ]
}


def former(session: Session, *results: tuple[int, float, float]) -> Study:
    """An ended study: a rank, a score and a parameter count for each trial."""
    study = create(session, make_study_request(search_space=SPACE, budget={"trials": 20}))
    for rank, score, parameters in results:
        finish(
            session,
            study,
            start(session, study, trial_of(session, study, rank)),
            succeeded(score, parameters),
        )
    session.commit()
    return study


def trial_of(session: Session, study: Study, rank: int) -> Trial:
    return lifecycle.add_trial(
        session, study, parameters={"peft.lora.rank": rank, "peft.active_layers.0": True},
        configuration=study.configuration, configuration_key=f"{rank}-{study.trials_created}",
        generated_by="test", proposal_seconds=0.0,
    )  # fmt: skip


def after(session: Session, *studies: Study, mode: str = "model", budget: int = 20, **changes: Any) -> Study:
    warm_start = {"studies": [study.id for study in studies], "mode": mode}
    request = make_study_request(
        **{
            "search_space": SPACE,
            "proposals": {"default_starting_points": False, "warm_start": warm_start},
            "budget": {"trials": budget},
            **changes,
        }
    )
    study = create(session, request)
    session.commit()
    return study


def read(session: Session, study: Study) -> tuple[Source, ...]:
    asked = read_request(session, study.id)
    assert asked is not None
    return asked.problem.sources


def test_every_result_is_read_in_the_new_studys_parameters(session: Session) -> None:
    """Costs with it: what is an objective, the optimiser decides."""
    source = former(session, (1, 0.6, 100.0), (16, 0.8, 900.0))
    space = {"parameters": [{"type": "ordinal", "name": "peft.lora.rank", "choices": [2, 8]}]}
    (found,) = read(session, after(session, source, search_space=space))
    assert found.study_id == source.id
    assert [item.parameterization for item in found.observations] == [
        {"peft.lora.rank": 2},
        {"peft.lora.rank": 8},
    ]
    assert [item.metrics["score"] for item in found.observations if item.metrics] == [0.6, 0.8]


def test_what_failed_or_ended_later_is_not_read(session: Session) -> None:
    """So the new study proposes the same, whatever becomes of the other."""
    source = former(session, (1, 0.6, 100.0))
    failed = start(session, source, trial_of(session, source, 4))
    finish(session, source, failed, TrialReport(state=TrialState.INFEASIBLE, reason="out of memory"))
    session.commit()
    models, points = after(session, source), after(session, source, mode="pareto")
    finish(session, source, start(session, source, trial_of(session, source, 16)), succeeded(0.9, 50.0))
    session.commit()
    assert [len(found.observations) for found in read(session, models)] == [1]
    assert [len(found.starting_points) for found in read(session, points)] == [1]


def test_a_trial_that_was_stopped_early_teaches_what_was_predicted_of_it(session: Session) -> None:
    """As it does in its own study."""
    source = former(session, (1, 0.6, 100.0))
    stopped = start(session, source, trial_of(session, source, 4))
    measured = Measurement(step=1, metrics={"score": 0.5, "trainable_parameters": 400.0})
    lifecycle.record_measurement(session, source, stopped, attempt=stopped.attempt, measurement=measured)
    finish(session, source, stopped, TrialReport(state=TrialState.STOPPED_EARLY))
    session.commit()
    (found,) = read(session, after(session, source))
    assert [item.metrics["score"] for item in found.observations if item.metrics] == [0.6, 0.5]


@pytest.mark.parametrize(("budget", "scores"), [(20, [16, 4, 1]), (8, [16, 1]), (4, [4]), (1, [4])])
def test_pareto_configurations_take_a_quarter_of_the_budget(
    session: Session, budget: int, scores: list[int]
) -> None:
    """Spread over the front with both ends; a dominated one is none."""
    source = former(session, (1, 0.6, 100.0), (4, 0.7, 400.0), (16, 0.8, 900.0), (16, 0.5, 950.0))
    (found,) = read(session, after(session, source, mode="pareto", budget=budget))
    assert [point["peft.lora.rank"] for point in found.starting_points] == scores
    assert found.observations == ()


def test_several_fronts_share_the_quarter(session: Session) -> None:
    """The first named ones come first where there is not enough for all."""
    sources = [former(session, (1, 0.6, 100.0), (4, 0.7, 400.0)) for _ in range(3)]
    for budget, expected in ((20, [2, 2, 1]), (8, [1, 1])):
        found = read(session, after(session, *sources, mode="pareto", budget=budget))
        assert [len(source.starting_points) for source in found] == expected


def test_a_study_without_a_warm_start_has_no_sources(session: Session) -> None:
    """Nothing is read."""
    former(session, (1, 0.6, 100.0))
    assert sources_of(session, create(session, make_study_request())) == ()


def test_a_front_of_nothing_is_no_starting_point(session: Session) -> None:
    """A former study that never got a result."""
    (found,) = read(session, after(session, former(session), mode="pareto"))
    assert found.starting_points == ()


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [3]), (2, [0, 5]), (4, [0, 2, 3, 5]), (9, [0, 1, 2, 3, 4, 5])]
)
def test_some_of_many_are_spread(count: int, expected: list[int]) -> None:
    """Both ends, or the middle."""
    assert spread_over(list(range(6)), count=count) == expected


def test_each_trial_says_from_whom_it_is(session: Session) -> None:
    """The provenance is stored with the trial, and none where there is none."""
    source = former(session, (1, 0.6, 100.0), (16, 0.8, 900.0))
    study = after(session, source, mode="pareto", parallelism=2)
    asked = read_request(session, study.id)
    assert asked is not None
    found = suggest(asked.problem, (), pending=(), count=3, seed=0)
    store_suggestions(session, study.id, found, request=asked, seconds=1.0)
    trials = session.query(Trial).filter_by(study_id=study.id).order_by(Trial.number).all()
    assert [trial.generated_by for trial in trials] == [
        "transferred_point",
        "transferred_point",
        "initial_design",
    ]
    learned = [trial.explanation and trial.explanation["learned_from"] for trial in trials]
    assert learned == [{source.id: 1.0}, {source.id: 1.0}, None]
