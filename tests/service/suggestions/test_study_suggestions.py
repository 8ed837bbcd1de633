"""What a study wants proposed, and what the optimiser learns of its trials."""

import math

import pytest
from sqlalchemy.orm import Session

from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyCreate, StudyState
from api_schemas.trials import TrialReport, TrialState
from service.optimization.problem import Observation
from service.optimization.suggest import suggest
from service.storage import queries
from service.suggestions.study_suggestions import read_request, store_suggestions
from tests.conftest import make_study_request
from tests.paretune.client.studies import custom_study
from tests.service.trials.test_lifecycle import create, finish, queue, start, succeeded

METRICS = {"cost": 1.0, "gain": 1.0}


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


def test_a_failed_trial_is_excluded_and_one_under_way_is_pending(session: Session) -> None:
    """The optimiser awaits no result of the first."""
    study = create(session, make_study_request(parallelism=4))
    failed, running = queue(session, study), queue(session, study)
    while failed.state is not TrialState.FAILED:
        finish(
            session, study, start(session, study, failed), TrialReport(state=TrialState.FAILED, reason="x")
        )
    start(session, study, running)
    asked = read_request(session, study.id)
    assert asked is not None
    assert asked.problem.excluded == (failed.parameters,)
    assert asked.pending == (running.parameters,)


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


def suggested_in_turns(session: Session, *, seconds: float) -> list[Parameterization]:
    """The parameters of the trials that two runners get, three ahead, if each turn takes so long."""
    request = custom_study(
        budget={"trials": 14}, parallelism=2, seed=7, proposals={"ahead": 3, "time_limit_seconds": 3600}
    )
    study = create(session, request)
    ended = 0
    while ended < 14:
        asked = read_request(session, study.id)
        if asked is not None:
            suggestions = suggest(
                asked.problem, asked.observations, pending=asked.pending, count=asked.count, seed=asked.seed
            )
            store_suggestions(session, study.id, suggestions, request=asked, seconds=seconds)
        begun = [start(session, study, trial) for trial in queries.list_trials(session, study.id)[ended:][:2]]
        for trial in reversed(begun):
            x = float(str(trial.parameters["x"]))
            report = TrialReport(state=TrialState.SUCCEEDED, metrics={"cost": x, "gain": math.sin(5 * x)})
            finish(session, study, trial, report)
        ended += len(begun)
    return [trial.parameters for trial in queries.list_trials(session, study.id)]


def test_the_same_results_in_the_same_order_give_the_same_suggestions(session: Session) -> None:
    """Trials queued ahead are revised alike, however long proposing took."""
    first, second = (suggested_in_turns(session, seconds=seconds) for seconds in (0.0, 30.0))
    assert first == second
    assert len(first) == 14


PAIR = {
    "search_space": {
        "parameters": [
            {"type": "int", "name": name, "low": 1, "high": 4} for name in ("left", "right")
        ],
        "identity": "min(left, right), max(left, right)",
    },
    "budget": {"trials": 10},
    "parallelism": 10,
}  # fmt: skip


def test_a_study_that_names_its_identity_is_asked_for_no_second_spelling(session: Session) -> None:
    """Of the sixteen pairs ten are different; whichever has run is not asked for the other way round."""
    study = create(session, custom_study(**PAIR, starting_points=[{"left": 3, "right": 1}]))
    asked = read_request(session, study.id)
    assert asked is not None
    assert asked.count == 10
    suggestions = suggest(asked.problem, [], pending=[], count=20, seed=0)
    store_suggestions(session, study.id, suggestions, request=asked, seconds=0.1)
    trials = queries.list_trials(session, study.id)
    pairs = [tuple(sorted((trial.parameters["left"], trial.parameters["right"]))) for trial in trials]
    assert len(pairs) == 10
    assert len(set(pairs)) == 10
    done = [Observation(trial.parameters, METRICS, key=trial.configuration_key) for trial in trials]
    assert suggest(asked.problem, done, pending=[], count=1, seed=0) == []


def test_a_model_is_asked_for_no_second_spelling_either(session: Session) -> None:
    """Six are known one way round; the next four are none of them."""
    study = create(session, custom_study(**PAIR))
    asked = read_request(session, study.id)
    assert asked is not None
    known = [(1, 1), (2, 1), (1, 3), (4, 1), (2, 2), (3, 2)]
    results = [
        Observation({"left": left, "right": right}, {"cost": left + right, "gain": left * right})
        for left, right in known
    ]
    suggestions = suggest(asked.problem, results, pending=[], count=4, seed=0)
    assert {suggestion.generated_by for suggestion in suggestions} == {"logehvi"}
    found = {tuple(sorted(suggestion.parameterization.values())) for suggestion in suggestions}
    assert found == {(2, 4), (3, 3), (3, 4), (4, 4)}


@pytest.mark.slow
def test_a_study_of_depth_tries_each_network_once_and_ends(session: Session) -> None:
    """Six depths and, below the whole one, two ways to choose layers; the whole network comes first."""
    objectives = [
        {"metric": "score", "direction": "maximize"}, {"metric": "model_parameters", "direction": "minimize"},
    ]  # fmt: skip
    request = make_study_request(
        search_space={"preset": "depth"}, objectives=objectives, budget={"trials": 15}, parallelism=4,
        early_stopping="never",
    )  # fmt: skip
    study = create(session, request)
    ended = 0
    while (asked := read_request(session, study.id)) is not None:
        suggestions = suggest(
            asked.problem, asked.observations, pending=asked.pending, count=asked.count, seed=asked.seed
        )
        store_suggestions(session, study.id, suggestions, request=asked, seconds=0.1)
        for trial in queries.list_trials(session, study.id)[ended:]:
            depth = int(str(trial.parameters["architecture.keep_layers"]))
            score = 0.5 + 0.05 * depth - 0.03 * (trial.parameters.get("architecture.which") == "first")
            report = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": score})
            finish(session, study, start(session, study, trial), report)
            ended += 1
    trials = queries.list_trials(session, study.id)
    kept = [
        (trial.parameters["architecture.keep_layers"], trial.parameters.get("architecture.which"))
        for trial in trials
    ]
    assert kept[:3] == [(6, None), (5, "first"), (3, "first")]
    assert len(set(kept)) == len(kept) == 11
    assert study.state is StudyState.SUCCEEDED
    front = queries.latest_front(session, study)
    assert front is not None
    assert len(front.member_trial_ids) == 6
