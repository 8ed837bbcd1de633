"""Between the database and the optimiser: build a problem from a study, queue what is suggested.

The optimiser runs with no lock and no open transaction; what it suggests is checked again under
the study's lock before it is queued, so two study workers may serve one study at once. Queued trials
that no worker has claimed are revised once after each result; they can be claimed in the meantime.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from api_schemas.objectives import LOG_METRICS
from api_schemas.proposals import DuplicatePolicy, Proposer
from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyState
from api_schemas.trials import TEACHING_STATES, TERMINAL_TRIAL_STATES
from service.optimization.problem import Observation, Problem, Source, Suggestion
from service.storage import queries, typed_study
from service.storage.models import Study, Trial
from service.studies.canonical_trials import canonical_trials, trial_keys
from service.studies.starting_points import starting_parameterization
from service.suggestions import duplicates, revision
from service.suggestions.exact_metrics import exact_metrics, expression_metrics
from service.suggestions.former_studies import sources_of
from service.suggestions.observations import observations_of
from service.suggestions.spellings import one_spelling
from service.trials import lifecycle, race_budget, study_lifecycle
from service.trials.demand import results_in_a_turn
from service.trials.queue_deficit import replicate_deficit, trial_deficit

STARTING_POINT = "starting_point"
"""How `generated_by` names a trial of a starting point."""


@dataclass(frozen=True)
class SuggestionRequest:
    """What to ask the optimiser, and for how many trials.

    `count` includes those of `outdated`, the ids of queued trials to revise; `pending` does not.
    `known_results` counts the study's own results among the observations.
    """

    proposer: Proposer
    problem: Problem
    observations: tuple[Observation, ...]
    pending: tuple[Parameterization, ...]
    outdated: frozenset[str]
    known_results: int
    count: int
    seed: int
    time_limit_seconds: float


def read_request(session: Session, study_id: str) -> SuggestionRequest | None:
    """Return what a study wants suggested now, or None if it wants nothing.

    Nothing is locked: reading former studies takes a while, and changes in the meantime are noticed when the
    suggestions are stored.
    """
    study = session.get(Study, study_id)
    if study is None or study.state is not StudyState.ACTIVE:
        return None
    trials = queries.trials_to_learn_from(session, study_id)
    results = [trial for trial in trials if trial.state in TEACHING_STATES]
    queued = [trial.id for trial in trials if revision.is_outdated(trial, known_results=len(results))]
    # Trials that will be claimed before the suggestions are there need no revision.
    outdated = frozenset(queued[results_in_a_turn(study, trials) :])
    count = _wanted(session, study, trials) + len(outdated)
    if count == 0:
        return None
    untaught = [trial for trial in trials if trial.state not in TEACHING_STATES and trial.id not in outdated]
    lost = [trial for trial in untaught if trial.state in TERMINAL_TRIAL_STATES]
    problem = _problem(study, sources=sources_of(session, study))
    return SuggestionRequest(
        proposer=typed_study.proposals(study).proposer,
        problem=replace(problem, excluded=tuple(trial.parameters for trial in lost)),
        observations=observations_of(session, study, results),
        pending=tuple(trial.parameters for trial in untaught if trial.state not in TERMINAL_TRIAL_STATES),
        outdated=outdated,
        known_results=len(results),
        count=count,
        seed=study.seed,
        time_limit_seconds=typed_study.proposals(study).time_limit_seconds,
    )


def read_observations(
    session: Session, study: Study, *, sources: tuple[Source, ...] = ()
) -> tuple[Problem, tuple[Observation, ...]]:
    """Return a study's problem and the observations from its trials."""
    trials = queries.trials_in(session, study.id, TEACHING_STATES)
    return _problem(study, sources=sources), observations_of(session, study, trials)


def store_suggestions(
    session: Session,
    study_id: str,
    suggestions: Sequence[Suggestion],
    *,
    request: SuggestionRequest,
    seconds: float,
) -> bool:
    """Revise outdated trials and queue what the study still wants; end one whose space is exhausted.

    Return False if it still wants trials but already has every suggested one: the proposer would suggest the
    same again.
    """
    study = queries.lock_study(session, study_id)
    if study is None or study.state is not StudyState.ACTIVE:
        return True
    trials = queries.trials_to_learn_from(session, study_id)
    suggested = _trial_columns(study, suggestions, request=request, seconds=seconds)
    used = {trial.configuration_key for trial in trials}
    new = [columns for key, columns in suggested.items() if key not in used]
    outdated = [
        trial
        for trial in trials
        if trial.id in request.outdated and revision.is_outdated(trial, known_results=request.known_results)
    ]
    wanted = _wanted(session, study, trials)
    stuck = wanted > 0 and not new and len(suggestions) >= request.count
    changed = _revise(session, study, outdated, kept=suggested.keys(), new=new, request=request)
    changed += _add_trials(session, study, new[:wanted], former=trials)
    if typed_study.proposals(study).duplicates is DuplicatePolicy.REUSE:
        for trial in changed:
            duplicates.reuse_known_result(session, study, trial)
    if len(suggestions) < request.count and study.state is StudyState.ACTIVE:
        _end_or_repeat(session, study)
    return not stuck


def end_search(session: Session, study_id: str) -> None:
    """End a study for which no proposer found a new configuration."""
    study = queries.lock_study(session, study_id)
    if study is not None and study.state is StudyState.ACTIVE:
        reason = "no new configuration was found: all that were proposed and drawn have been tried"
        _end_or_repeat(session, study, reason=reason)


def _trial_columns(
    study: Study, suggestions: Sequence[Suggestion], *, request: SuggestionRequest, seconds: float
) -> dict[str, dict[str, Any]]:
    """Return the columns of trials for suggestions, by configuration key, in their order."""
    canonical = canonical_trials(study)
    columns: dict[str, dict[str, Any]] = {}
    for suggestion in suggestions:
        trial = canonical(suggestion.parameterization)
        explanation = suggestion.explanation
        columns[trial.key] = {
            "parameters": trial.parameters,
            "configuration": trial.configuration,
            "configuration_key": trial.key,
            "generated_by": suggestion.generated_by,
            "proposal_seconds": seconds / len(suggestions),
            "explanation": None if explanation is None else explanation.model_dump(),
            "known_results": request.known_results,
        }
    return columns


def _add_trials(
    session: Session, study: Study, new: Sequence[dict[str, Any]], *, former: Sequence[Trial]
) -> list[Trial]:
    """Queue new trials within the search's part of the budget.

    Where there is to be a race, the first starting points tell the models the noise: several seeds each.
    """
    added: list[Trial] = []
    probed = [trial for trial in former if trial.generated_by == STARTING_POINT]
    probes_left = race_budget.noise_probes(study) - len(probed)
    for columns in new:
        is_probe = probes_left > 0 and columns["generated_by"] == STARTING_POINT
        probes_left -= int(is_probe)
        seeds = race_budget.SEEDS_OF_A_PROBE if is_probe else 1
        left = race_budget.left_for_search(study)
        if left:
            further = min(seeds, left) - 1
            added.append(lifecycle.add_trial(session, study, further_seeds=further, **columns))
    return added


def _revise(
    session: Session,
    study: Study,
    outdated: Sequence[Trial],
    *,
    kept: Set[str],
    new: list[dict[str, Any]],
    request: SuggestionRequest,
) -> list[Trial]:
    """Revise outdated trials that were not suggested again with the best of `new`; return them.

    What a trial takes is removed from `new`.
    """
    revised: list[Trial] = []
    for trial in outdated:
        better = next((item for item in new if item["generated_by"] not in revision.UNMODELLED), None)
        if trial.configuration_key in kept or better is None:
            trial.known_results = request.known_results
        else:
            new.remove(better)
            revision.revise_trial(session, study, trial, **better)
            revised.append(trial)
    return revised


def _end_or_repeat(session: Session, study: Study, *, reason: str = study_lifecycle.EXHAUSTED) -> None:
    repeats_left = min(replicate_deficit(session, study), race_budget.left_for_search(study))
    repeats = typed_study.proposals(study).duplicates is DuplicatePolicy.REPLICATE
    if not (repeats and duplicates.repeat_front(session, study, count=repeats_left)):
        study_lifecycle.exhaust(session, study, reason=reason)


def _wanted(session: Session, study: Study, trials: Sequence[Trial]) -> int:
    ended = [trial.state for trial in trials if trial.state in TERMINAL_TRIAL_STATES]
    return trial_deficit(session, study, ended=ended, taken_soon=results_in_a_turn(study, trials))


def _problem(study: Study, *, sources: tuple[Source, ...] = ()) -> Problem:
    search_space = typed_study.search_space(study)
    custom = Problem(
        search_space=search_space,
        objectives=typed_study.objectives(study),
        constraints=typed_study.constraints(study),
        exact_metrics=expression_metrics(
            typed_study.expressions(study), objectives=typed_study.objectives(study)
        ),
        key=trial_keys(study),
        counts=frozenset(),
        reference_point=typed_study.reference_point(study),
        starting_points=tuple(search_space.canonical(point) for point in study.starting_points),
        sources=sources,
    )
    base, shape = typed_study.configuration(study), typed_study.backbone_shape(study)
    if base is None or shape is None or study.classes is None:
        return custom
    return replace(
        custom,
        counts=LOG_METRICS,
        exact_metrics=exact_metrics(base, shape=shape, classes=study.classes),
        spelled=one_spelling(base, shape=shape, classes=study.classes),
        starting_points=tuple(
            starting_parameterization(search_space, base, point) for point in study.starting_points
        ),
    )
