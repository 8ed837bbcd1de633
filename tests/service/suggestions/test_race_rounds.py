"""Rounds of a race: who gets seeds, who is dropped, and how the study ends."""

from collections.abc import Mapping

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import TrialReport, TrialState
from service.api.read_models.studies import study_read
from service.optimization.suggest import suggest
from service.storage import queries
from service.storage.models import Event, Study, Trial
from service.studies import steering
from service.study_worker import advance_study
from service.suggestions import race_rounds
from service.suggestions.study_suggestions import read_request, store_suggestions
from service.trials import beliefs, lifecycle, race_budget, study_lifecycle
from service.trials.beliefs import Belief, BelievedTrials
from tests.conftest import make_study_request
from tests.service.api.read_models.test_recommendations import LORA_8, add
from tests.service.trials.test_lifecycle import COSTS, create, finish, start

INFEASIBLE = TrialReport(state=TrialState.INFEASIBLE, reason="not-a-number: loss")
FRONT = ((0.70, 1000), (0.80, 2000), (0.85, 3000), (0.60, 500))


def racing(session: Session, *, results: int = 4, **changes: object) -> Study:
    """A study of eight trainings, half of them for its race, after its search; the second is LoRA 8."""
    options = {"budget": {"trials": 8}, "race": {"share": 0.5}, "parallelism": 8, **changes}
    study = create(session, make_study_request(**options))
    for number, (score, parameters) in enumerate(FRONT[:results]):
        add(session, study, [score], parameters, peft=LORA_8 if number == 1 else None)
    study.turn_due_at = None
    return study


def trials_of(session: Session, study: Study) -> list[Trial]:
    return queries.list_trials(session, study.id)


def believe(session: Session, study: Study, chances: Mapping[int, float], *, lead: float = 0.05) -> None:
    """Store a belief of the trials with these numbers, as of now."""
    trials = [trial for trial in trials_of(session, study) if trial.number in chances]
    default = trials_of(session, study)[1].id
    columns = BelievedTrials(
        ids=[trial.id for trial in trials],
        means={"score": [trial.metrics["score"] for trial in trials]},
        deviations={"score": [0.01 for _ in trials]},
        front_probabilities=[chances[trial.number] for trial in trials],
        default_trial_id=default,
        lead_deviations=[lead for _ in trials],
        noise=0.01,
    )
    found = Belief(study.front_sequence, [trial.id for trial in trials], 0.5, columns)
    beliefs.record_belief(session, study, found)


def advance(session: Session, study: Study) -> list[int]:
    """Take the race a step further; give the numbers of the trials that got seeds."""
    study.turn_due_at = None
    race_rounds.advance_race(session, study.id)
    session.flush()
    queued = {one.trial_id for one in queries.replicates_in(session, study.id, [TrialState.QUEUED])}
    return [trial.number for trial in trials_of(session, study) if trial.id in queued]


def run(session: Session, study: Study, scores: Mapping[int, float] | None = None) -> None:
    """Run every queued seed; scores by trial number, else those that the trial has."""
    while (trial := queries.next_queued(session, study.id)) is not None:
        score = (scores or {}).get(trial.number, trial.metrics.get("score", 0.5))
        metrics = {**COSTS, "trainable_parameters": 1000.0, **trial.metrics, "score": score}
        finish(
            session,
            study,
            start(session, study, trial),
            TrialReport(state=TrialState.SUCCEEDED, metrics=metrics),
        )


def told(session: Session, study: Study, kind: EventType) -> list[dict[str, object]]:
    query = select(Event.body).where(Event.study_id == study.id, Event.type == kind).order_by(Event.sequence)
    return list(session.scalars(query))


def test_nothing_races_while_it_is_not_time(session: Session) -> None:
    """Not in a study that is gone or has no race, while it searches, is paused, or has something open."""
    race_rounds.advance_race(session, "std_none")
    assert advance(session, racing(session, race={"share": 0})) == []
    assert advance(session, racing(session, results=3)) == []
    paused = racing(session)
    steering.pause(session, paused)
    assert advance(session, paused) == []
    steering.resume(session, paused)
    assert advance(session, paused) == [1, 2]
    assert advance(session, paused) == [1, 2]
    assert race_budget.progress(paused).rounds == 1


def test_a_race_waits_for_the_models_of_a_study_that_is_due_again(session: Session) -> None:
    """They are asked again in its next turn; what failed too often is waited for no more."""
    study = racing(session)
    study.turn_due_at = study.woken_at
    race_rounds.advance_race(session, study.id)
    assert study.race_progress is None
    study.believing_attempts = 99
    race_rounds.advance_race(session, study.id)
    assert race_budget.progress(study).rounds == 1


def test_a_race_spends_the_rest_of_the_budget_and_ends_the_study(session: Session) -> None:
    """Each round a seed for each; scores become means with errors, and only then the study succeeds."""
    study = racing(session)
    believe(session, study, {0: 0.3, 1: 0.5, 2: 0.9})
    assert advance(session, study) == [1, 2]
    assert (study.state, study.trials_created) == (StudyState.ACTIVE, 6)
    run(session, study, {2: 0.83})
    believe(session, study, {0: 0.3, 1: 0.5, 2: 0.9})
    assert advance(session, study) == [1, 2]
    run(session, study)
    assert study.state is StudyState.ACTIVE
    assert advance(session, study) == []
    assert (study.state, study.state_reason, study.trials_created) == (StudyState.SUCCEEDED, None, 8)
    best = trials_of(session, study)[2]
    assert best.metrics["score"] == pytest.approx((0.85 + 0.83 + 0.84) / 3)
    assert best.metric_standard_errors["score"] > 0
    shown = study_read(session, study)
    assert shown.race_progress is not None
    assert (shown.budget_spent, shown.race_progress.trainings, shown.race_progress.is_over) == (8, 4, True)


def test_who_is_behind_is_dropped_and_told(session: Session) -> None:
    """The default is settled then, and a race that is decided ends with trainings left."""
    study = racing(session)
    believe(session, study, {0: 0.3, 1: 0.01, 2: 0.9})
    assert advance(session, study) == [1, 2]
    run(session, study)
    believe(session, study, {0: 0.3, 1: 0.01, 2: 0.9}, lead=0.001)
    assert advance(session, study) == []
    assert (study.state, study.state_reason) == (StudyState.SUCCEEDED, race_rounds.DECIDED)
    (dropped,) = race_budget.progress(study).dropped
    assert (dropped.number, dropped.round, dropped.reason) == (
        1,
        1,
        "how it compares with the others is settled",
    )
    (ended,) = told(session, study, EventType.RACE_ENDED)
    assert ended["reason"] == race_rounds.DECIDED


def test_a_racer_that_proves_infeasible_is_out(session: Session) -> None:
    """The others go on, and the event of the next round says who is missing."""
    study = racing(session, budget={"trials": 12}, race={"share": 0.5}, results=4)
    study_lifecycle.exhaust(session, study)
    assert advance(session, study) == [0, 1, 2]
    trial = queries.next_queued(session, study.id)
    assert trial is not None
    finish(session, study, start(session, study, trial), INFEASIBLE)
    run(session, study)
    assert advance(session, study) == [1, 2]
    _, second = told(session, study, EventType.RACE_ROUND)
    assert second["dropped"] == [
        {"trial_id": trial.id, "number": 0, "round": 1, "reason": "it is infeasible now"}
    ]
    assert (second["round"], second["trainings_left"]) == (2, 1)


def test_a_search_that_finds_nothing_new_races_with_its_own_part(session: Session) -> None:
    """The study ends with the search's reason once the race is over."""
    study = racing(session, results=3)
    study_lifecycle.exhaust(session, study, reason="nothing new")
    assert study.state is StudyState.ACTIVE
    assert read_request(session, study.id) is None
    for _ in range(2):
        assert advance(session, study) == [1, 2]
        run(session, study)
    advance(session, study)
    assert (study.state, study.state_reason, study.trials_created) == (StudyState.SUCCEEDED, "nothing new", 7)


def test_a_study_without_two_trials_to_race_ends(session: Session) -> None:
    """Its reason says that trainings are left."""
    study = racing(session, results=1)
    study_lifecycle.exhaust(session, study, reason="nothing new")
    advance(session, study)
    assert study.state is StudyState.SUCCEEDED
    assert told(session, study, EventType.RACE_ROUND) == []


def test_an_extended_study_searches_on_and_races_anew(session: Session) -> None:
    """Also in the middle of a race: its open seeds end, and the new trials may race."""
    study = racing(session)
    assert advance(session, study) == [1, 2]
    steering.extend(session, study, trials=4)
    asked = read_request(session, study.id)
    assert asked is not None
    assert race_budget.left_for_search(study) == 2
    run(session, study)
    for score in (0.9, 0.95):
        add(session, study, [score], 4000)
    assert race_budget.left_for_race(study) == 4
    assert advance(session, study) == [1, 5]
    assert [trial.number for trial in trials_of(session, study)] == list(range(6))


def test_a_cancelled_race_drops_its_seeds(session: Session) -> None:
    """Those that run are given back; the trials keep their results."""
    study = racing(session)
    advance(session, study)
    trial = queries.next_queued(session, study.id)
    assert trial is not None
    start(session, study, trial)
    steering.cancel(session, study)
    assert study.state is StudyState.CANCELLING
    lifecycle.release_trial(session, study, trial, attempt=trial.attempt)
    assert study.state is StudyState.CANCELLED
    assert {one.state for one in trials_of(session, study)} == {TrialState.SUCCEEDED}


def test_final_seeds_follow_a_race_and_count_its_seeds(session: Session) -> None:
    """Whoever raced has as many already; other members of the front get theirs, beyond the budget."""
    study = racing(session, final_replicates=2)
    for _ in range(2):
        assert advance(session, study) == [1, 2]
        run(session, study)
    assert advance(session, study) == [0, 3]
    assert study.state is StudyState.ACTIVE
    run(session, study)
    assert study.state is StudyState.SUCCEEDED
    seeds = queries.replicates_of(session, [trial.id for trial in trials_of(session, study)])
    assert [len(found) for found in seeds.values()] == [3, 3, 3, 3]


def test_the_first_two_starting_points_get_three_seeds(session: Session) -> None:
    """They cost a trial each; a search that has less left than that gives what it has."""
    request = make_study_request(budget={"trials": 16}, parallelism=3)
    study = create(session, request)
    for _ in range(9):
        asked = read_request(session, study.id)
        if asked is None:
            break
        found = suggest(asked.problem, asked.observations, pending=asked.pending, count=asked.count, seed=0)
        store_suggestions(session, study.id, found, request=asked, seconds=0.1)
        run(session, study)
    trials = trials_of(session, study)
    seeds = queries.replicates_of(session, [trial.id for trial in trials])
    points = min(2, len([one for one in trials if one.generated_by == "starting_point"]))
    assert [len(seeds[trial.id]) for trial in trials] == [3] * points + [1] * (len(trials) - points)
    assert points == 2
    assert (study.trials_created, len(trials)) == (12, 8)
    (queued, *_) = told(session, study, EventType.TRIAL_QUEUED)
    assert queued["further_seeds"] == 2


def test_the_study_worker_takes_the_race_further(session: Session) -> None:
    """In its turn, after the models; without one of them, too."""
    study = racing(session)
    study.turn_due_at = study.woken_at
    session.commit()
    advance_study(study.id)
    session.refresh(study)
    assert race_budget.progress(study).rounds == 1
    assert study.turn_holder is None
