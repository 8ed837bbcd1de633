"""What a study wants proposed, and what the optimiser learns of its trials."""

import pytest
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate
from api_schemas.trials import TrialReport, TrialState
from service.optimization.suggest import suggest
from service.storage import queries
from service.suggestions.study_suggestions import read_request, store_suggestions
from tests.conftest import make_study_request
from tests.paretune.client.studies import custom_study
from tests.service.trials.test_lifecycle import create, finish, queue, start, succeeded


@pytest.mark.parametrize(
    ("parallelism", "replicates", "wanted"),
    [(1, 1, 2), (4, 1, 5), (1, 3, 1), (2, 3, 1), (4, 3, 2), (8, 3, 3)],
)
def test_workers_are_kept_busy_by_seeds_not_by_more_trials(
    session: Session, parallelism: int, replicates: int, wanted: int
) -> None:
    """With n seeds per trial fewer trials are open at once, so each is proposed knowing more."""
    request = make_study_request(parallelism=parallelism, replicates=replicates, budget={"trials": 50})
    study = create(session, request)
    asked = read_request(session, study.id)
    assert asked is not None
    assert asked.count == wanted


def test_nothing_is_proposed_while_enough_seeds_wait(session: Session) -> None:
    """One open trial of three seeds feeds two workers."""
    study = create(session, make_study_request(parallelism=2, replicates=3))
    queue(session, study)
    assert read_request(session, study.id) is None


def test_the_optimiser_hears_standard_errors(session: Session) -> None:
    """None from a single seed; with two, half their distance."""
    for replicates, expected in ((1, None), (2, 0.1)):
        study = create(session, make_study_request(parallelism=4, replicates=replicates))
        trial = queue(session, study)
        for score in (0.6, 0.8)[:replicates]:
            finish(session, study, start(session, study, trial), succeeded(score))
        asked = read_request(session, study.id)
        assert asked is not None
        errors = asked.observations[0].standard_errors
        assert (errors and errors["score"]) == (expected and pytest.approx(expected))


@pytest.mark.parametrize("request_body", [make_study_request(parallelism=4), custom_study()])
def test_the_key_of_a_stored_trial_is_the_one_that_its_problem_gives(
    session: Session, request_body: StudyCreate
) -> None:
    """The optimiser believes it instead of computing it for every trial again."""
    study = create(session, request_body)
    first = read_request(session, study.id)
    assert first is not None
    suggestions = suggest(first.problem, [], pending=[], count=1, seed=0)
    store_suggestions(session, study.id, suggestions, request=first, seconds=0.1)
    (trial,) = queries.list_trials(session, study.id)
    finish(session, study, start(session, study, trial), TrialReport(state=TrialState.INFEASIBLE))
    asked = read_request(session, study.id)
    assert asked is not None
    (observation,) = asked.observations
    assert observation.key == asked.problem.key(observation.parameterization)
