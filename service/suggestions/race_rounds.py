"""Between the models and the trials: begin the rounds of a study's race, drop who is behind, end it.

A step of the study worker's turn, after the front has been modelled. It does nothing while the search has
trainings left or anything is open. Without a model nobody is dropped: members of the observed front race.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.objectives import Direction, Metric, Objective
from api_schemas.races import Dropped, RaceProgress
from api_schemas.studies import StudyState
from service.settings import settings
from service.storage import queries, typed_study
from service.storage.event_log import record_event
from service.storage.models import Study
from service.studies.reference_trials import default_trial
from service.trials import beliefs, lifecycle, race_budget, race_rules, results, study_lifecycle
from service.trials.beliefs import Belief, BelievedTrials
from service.trials.default_protection import Lead, probability_better
from service.trials.race_rules import Contender
from service.trials.results import Result

NOTHING_TO_RACE = "there were no two trials to race: what is left of the budget was not needed"
DECIDED = "the race is decided: what is left of the budget was not needed"


class _Standing(NamedTuple):
    """What all contenders are judged by."""

    objective: Objective
    default: str | None
    belief: Belief | None


def advance_race(session: Session, study_id: str) -> None:
    """Begin the next round of a study's race, or end it, if it is time."""
    unlocked = session.get(Study, study_id)
    if unlocked is None or not race_budget.is_pending(unlocked):
        return
    study = queries.lock_study(session, study_id)
    if study is None or study.state is not StudyState.ACTIVE or not race_budget.is_pending(study):
        return
    if race_budget.left_for_search(study) or any(queries.open_replicates(session, study.id)):
        return
    # It is due again: whatever has happened since the models were asked, they will be asked again.
    if study.turn_due_at is not None and _is_unmodelled(session, study):
        return
    before = race_budget.progress(study)
    now, racers = _judged(session, study, before)
    race_budget.record(study, now)
    left = race_budget.left_for_race(study)
    if not left or len(racers) < 2:
        study_lifecycle.end_race(session, study, reason=_reason(now, left=left))
        return
    _begin_round(session, study, now, race_rules.next_seeds(racers, trainings=left))


def _judged(session: Session, study: Study, before: RaceProgress) -> tuple[RaceProgress, Sequence[Contender]]:
    contenders = _contenders(session, study)
    if not before.racers:
        racers = race_rules.begin(contenders, trainings=race_budget.left_for_race(study))
        return _with_racers(before, racers, dropped=()), racers
    known = {one.trial_id: one for one in contenders}
    racing = [known[trial_id] for trial_id in before.racers if trial_id in known]
    gone = [trial_id for trial_id in before.racers if trial_id not in known]
    numbers = {trial.id: trial.number for trial in queries.trials_by_id(session, gone)}
    dropped = [
        Dropped(trial_id=one, number=numbers[one], round=before.rounds, reason="it is infeasible now")
        for one in gone
    ]
    behind = race_rules.behind(racing)
    dropped += [
        Dropped(trial_id=one.trial_id, number=one.number, round=before.rounds, reason=_why_behind(one))
        for one in behind
    ]
    racers = [one for one in racing if one not in behind]
    return _with_racers(before, racers, dropped=dropped), racers


def _begin_round(session: Session, study: Study, now: RaceProgress, chosen: Sequence[Contender]) -> None:
    for one in chosen:
        trial = queries.get_trial(session, study.id, one.trial_id, lock=True)
        lifecycle.repeat_trial(session, study, trial)
    after = now.model_copy(update={"rounds": now.rounds + 1, "trainings": now.trainings + len(chosen)})
    race_budget.record(study, after)
    record_event(
        session,
        study,
        EventType.RACE_ROUND,
        round=after.rounds,
        trial_ids=[one.trial_id for one in chosen],
        dropped=[one.model_dump() for one in now.dropped if one.round == now.rounds],
        trainings_left=race_budget.left_for_race(study),
    )


def _contenders(session: Session, study: Study) -> list[Contender]:
    """Return the trials that succeeded and that the models know, or that are on the observed front."""
    standing = _Standing(
        next(one for one in typed_study.objectives(study) if not one.is_known),
        default_trial(session, study),
        beliefs.belief_of(session, study),
    )
    front = queries.latest_front(session, study)
    members = frozenset(front.member_trial_ids) if front else frozenset()
    belief = standing.belief
    modelled = frozenset() if belief is None else belief.trials.rows.keys()
    if belief is None or belief.sequence < study.front_sequence:
        modelled |= members
    seeds = queries.seeds_of(session, study.id)
    racing = race_budget.progress(study).racers
    return [
        _contender(result, standing, seeds=seeds.get(result.trial_id, 1))
        for result in results.results_of(session, study.id)
        if result.trial_id in modelled or result.trial_id in racing or result.trial_id == standing.default
    ]


def _contender(result: Result, standing: _Standing, *, seeds: int) -> Contender:
    metric, trial_id = standing.objective.metric, result.trial_id
    trials = None if standing.belief is None else standing.belief.trials
    believed = {} if trials is None else trials.predictions(trial_id)
    value = believed[metric].mean if metric in believed else result.metrics[metric]
    return Contender(
        trial_id=trial_id,
        number=result.number,
        seeds=seeds,
        loss=-value if standing.objective.direction is Direction.MAXIMIZE else value,
        chance=None if trials is None else trials.front_probability(trial_id),
        chance_over_default=None if trials is None else _chance_over_default(trials, trial_id),
        is_default=trial_id == standing.default,
    )


def _chance_over_default(trials: BelievedTrials, trial_id: str) -> float | None:
    means, default = trials.means.get(Metric.SCORE), trials.default_trial_id
    if means is None or default is None or trials.lead_deviations is None or trial_id not in trials.rows:
        return None
    row = trials.rows[trial_id]
    lead = means[row] - means[trials.rows[default]]
    return probability_better(Lead(lead, trials.lead_deviations[row], None))


def _is_unmodelled(session: Session, study: Study) -> bool:
    may_be_modelled = beliefs.is_noisy(study) and study.believing_attempts < settings().max_attempts
    return may_be_modelled and beliefs.known_sequence(session, study) < study.front_sequence


def _with_racers(
    before: RaceProgress, racers: Sequence[Contender], *, dropped: Sequence[Dropped]
) -> RaceProgress:
    ids = tuple(one.trial_id for one in racers)
    return before.model_copy(update={"racers": ids, "dropped": (*before.dropped, *dropped)})


def _why_behind(contender: Contender) -> str:
    if contender.is_default:
        return "how it compares with the others is settled"
    assert contender.chance is not None  # noqa: S101  nobody is behind without one
    return f"its chance to be on the front is {contender.chance:.2g}"


def _reason(now: RaceProgress, *, left: int) -> str | None:
    if now.search_ended is not None or not left:
        return now.search_ended
    return DECIDED if now.rounds else NOTHING_TO_RACE
