"""Past results as trials of a study: ended before they begin, beside the budget, one front for all of them.

They take no lease, and end a trial that waits for a worker with what is known of it already; the optimiser
learns from them as from any other trial.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from api_schemas.ask_and_tell import ImportedObservation, ImportResult
from api_schemas.errors import MOST_ERRORS, FieldError
from api_schemas.search_space import SearchSpace
from api_schemas.studies import StudyState
from api_schemas.trials import IMPORTED, TrialReport, TrialState
from service.errors import InvalidReport, WrongState
from service.errors.conflicts import ConflictingResult
from service.storage import queries, typed_study
from service.storage.event_log import record_imports
from service.storage.ids import new_id
from service.storage.models import Replicate, Study, Trial
from service.studies.canonical_trials import CanonicalTrial, canonical_trials
from service.studies.starting_point_checks import parameterization_errors
from service.trials import known_results, replication
from service.trials.front_history import store_front
from service.trials.reported_metrics import adds_nothing, exact_metrics_of, finite, result_errors


def import_observations(
    session: Session, study: Study, observations: Sequence[ImportedObservation]
) -> ImportResult:
    """Store past results, all or none. One that waits for a worker gets its result, and is not run any more.

    What the study has already is left out.

    Raises:
        WrongState: If the study has ended or is being cancelled.
        InvalidReport: If one of them does not fit the study; `errors` names every guilty field.
        ConflictingResult: If the study has another result for one of them, or is about to get one.
    """
    if study.state not in (StudyState.ACTIVE, StudyState.PAUSED):
        further = "extend it" if study.state is StudyState.SUCCEEDED else "clone it"
        raise WrongState(
            f"The study is {study.state}; past results are taken while it is open: {further} first."
        )
    search_space = typed_study.search_space(study)
    _refuse(_parameter_errors(search_space, observations))
    turn = canonical_trials(study)
    trials = [turn(observation.parameters) for observation in observations]
    exact = [exact_metrics_of(study, trial.typed, trial.parameters) for trial in trials]
    _refuse(chain(_repetitions(trials), _result_errors(study, exact, observations)))
    reports = [_report(known, observation) for known, observation in zip(exact, observations, strict=True)]
    known = queries.trials_with_keys(session, study.id, [trial.key for trial in trials])
    _refuse_conflicts(session, [known.get(trial.key) for trial in trials], reports)
    new = [(trial, report) for trial, report in zip(trials, reports, strict=True) if trial.key not in known]
    _store(session, study, new)
    waiting = [
        (known[trial.key], report)
        for trial, report in zip(trials, reports, strict=True)
        if trial.key in known and known[trial.key].state is TrialState.QUEUED
    ]
    # Last: with the last trial of its budget the study ends.
    for trial, report in waiting:
        known_results.accept_result(session, study, trial, report=report)
    taken = len(new) + len(waiting)
    return ImportResult(imported=taken, already_known=len(trials) - taken)


def _report(exact: dict[str, float], observation: ImportedObservation) -> TrialReport:
    if observation.metrics is None:
        return TrialReport(state=TrialState.INFEASIBLE, reason=observation.infeasible, metrics=finite(exact))
    return TrialReport(state=TrialState.SUCCEEDED, metrics=observation.metrics | exact)


def _refuse_conflicts(
    session: Session, known: Sequence[Trial | None], reports: Sequence[TrialReport]
) -> None:
    conflicts = [
        (place, trial, report)
        for place, (trial, report) in enumerate(zip(known, reports, strict=True))
        if trial is not None and trial.state is not TrialState.QUEUED and not _yields(trial, report)
    ]
    seeds = queries.replicates_of(session, [trial.id for _, trial, _ in conflicts])
    errors = [
        FieldError(pointer=f"/observations/{place}", detail=_conflict(trial))
        for place, trial, report in conflicts
        # What has ended the last of several seeds is in the means of all.
        if trial.state is not report.state or not any(_yields(seed, report) for seed in seeds[trial.id])
    ]
    if errors:
        raise ConflictingResult(
            "Nothing was stored: the study has other results for some of the observations, or is about to; "
            "`errors` says for which. Leave them out, or do what it says.",
            errors=errors,
        )


def _yields(known: Trial | Replicate, report: TrialReport) -> bool:
    """Return whether a trial or one of its seeds has ended just so."""
    same = known.state is TrialState.INFEASIBLE or adds_nothing(report.metrics, known.metrics)
    return known.state is report.state and same


def _conflict(trial: Trial) -> str:
    named = f"trial {trial.number} ('{trial.id}')"
    if trial.state is TrialState.RUNNING:
        return f"a runner has {named}; let it complete the trial, or import this once the trial has ended"
    return f"{named} is {trial.state} with another result; if that is wrong, correct it with ':correct'"


def _store(session: Session, study: Study, new: Sequence[tuple[CanonicalTrial, TrialReport]]) -> None:
    """Write new trials, each with its seed and its event, in a few statements however many they are."""
    if not new:
        return
    now = session.scalars(select(func.clock_timestamp())).one()
    first = queries.next_number(session, study.id)
    trials = [
        {
            "id": new_id("trl"),
            "study_id": study.id,
            "number": number,
            "state": report.state,
            "state_reason": report.reason,
            "generated_by": IMPORTED,
            "proposal_seconds": 0.0,
            "parameters": trial.parameters,
            "configuration": trial.configuration,
            "configuration_key": trial.key,
            "metrics": report.metrics,
            "finished_at": now,
        }
        for number, (trial, report) in enumerate(new, start=first)
    ]
    study.trials_imported += len(trials)
    session.flush()
    session.execute(insert(Trial), trials)
    same = ("study_id", "state", "state_reason", "metrics", "finished_at")
    seeds = [
        {name: trial[name] for name in same}
        | {
            "trial_id": trial["id"],
            "number": 0,
            "seed": replication.first_seed(study, trial["configuration"]),
        }
        for trial in trials
    ]
    session.execute(insert(Replicate), seeds)
    record_imports(session, study, [(trial["id"], {"state": trial["state"]}) for trial in trials])
    succeeded = [trial["id"] for trial in trials if trial["state"] is TrialState.SUCCEEDED]
    if succeeded:
        store_front(session, study, queries.trials_by_id(session, succeeded))


def _parameter_errors(
    search_space: SearchSpace, observations: Sequence[ImportedObservation]
) -> Iterator[FieldError]:
    for place, observation in enumerate(observations):
        pointer = f"/observations/{place}/parameters"
        yield from parameterization_errors(search_space, observation.parameters, pointer=pointer)


def _repetitions(trials: Sequence[CanonicalTrial]) -> Iterator[FieldError]:
    first: dict[str, int] = {}
    for place, trial in enumerate(trials):
        if trial.key in first:
            yield FieldError(
                pointer=f"/observations/{place}/parameters",
                detail=f"this is the trial of observation {first[trial.key]}; give the mean of both once",
            )
        first.setdefault(trial.key, place)


def _result_errors(
    study: Study, known: Sequence[dict[str, float]], observations: Sequence[ImportedObservation]
) -> Iterator[FieldError]:
    for place, (exact, observation) in enumerate(zip(known, observations, strict=True)):
        if observation.metrics is None:
            continue
        pointer = f"/observations/{place}/metrics"
        yield from result_errors(study, observation.metrics, exact=exact, pointer=pointer)


def _refuse(found: Iterable[FieldError]) -> None:
    errors = list(islice(found, MOST_ERRORS))
    if errors:
        raise InvalidReport(
            "The observations do not fit the study; `errors` says where and why.", errors=errors
        )
