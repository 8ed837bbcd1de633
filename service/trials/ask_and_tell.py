"""Ask and tell: suggest, heartbeat, report, complete and correct, for runners over HTTP.

The same leases, attempts and state changes as in `leases`, which is for our own workers. But each function
works in the request's transaction, and refuses a bad report instead of failing the trial.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from anyio import to_thread
from sqlalchemy.orm import Session

from api_schemas.ask_and_tell import (
    CompletionRequest,
    CorrectionRequest,
    MeasurementReport,
    StopReason,
    SuggestedTrial,
    SuggestedTrials,
    SuggestRequest,
    TrialSignal,
)
from api_schemas.errors import FieldError
from api_schemas.studies import StudyState
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.access import limits
from service.errors import InvalidReport, WrongState
from service.errors.conflicts import ConflictingResult
from service.events.feed import EventFeed
from service.settings import settings
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Replicate, Study, Trial, TrialMeasurement
from service.storage.queries import OpenReplicates
from service.trials import early_stops, known_results, leases, lifecycle, replication
from service.trials.reported_metrics import (
    adds_nothing,
    exact_metrics_of,
    finite,
    repeats,
    reserved_errors,
    result_errors,
    with_network_metrics,
)

LONGEST_SILENCE_SECONDS = 5.0
"""The longest pause between two looks of a waiting request, should a bell be lost. It holds no connection."""
PAUSE_SECONDS = 0.1
"""The shortest pause between two looks: events come in groups."""

OPEN_STUDY_STATES = (StudyState.ACTIVE, StudyState.PAUSED)


async def suggest(
    study_id: str,
    request: SuggestRequest,
    *,
    tenant_id: str,
    feed: EventFeed,
    is_gone: Callable[[], Awaitable[bool]],
    aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> SuggestedTrials:
    """Lease trials to a worker as soon as there are any; an empty answer after `wait_seconds`.

    Every change that makes a trial ready is an event of the study and rings its bell. `is_gone` says whether
    the caller has disconnected; it gets nothing then. Waiting happens `aside`, so that others are served.

    Raises:
        NotFound: If the tenant has no such study.
    """
    give_up = time.monotonic() + request.wait_seconds
    with feed.watch(study_id) as channel:
        while True:
            bell = channel.bell
            answer = await to_thread.run_sync(partial(_suggest_now, study_id, request, tenant_id=tenant_id))
            left = give_up - time.monotonic()
            if answer.trials or answer.study_state not in OPEN_STUDY_STATES or left <= 0 or feed.closed:
                return answer
            async with aside():
                await _until_rung(bell, seconds=min(left, LONGEST_SILENCE_SECONDS))
            if await is_gone():
                return answer


def heartbeat(session: Session, study: Study, trial_id: str, *, attempt: int) -> TrialSignal:
    """Renew the lease of an attempt. Return whether its result is still wanted.

    Raises:
        StaleAttempt: If another attempt owns the trial now; so do all functions that take one.
    """
    unwanted = lifecycle.extend_lease(
        session, study, trial_id, attempt=attempt, lease_seconds=settings().lease_seconds
    )
    return TrialSignal(should_stop=unwanted, reason=StopReason.NOT_WANTED if unwanted else None)


def locked(session: Session, study_id: str, trial_id: str, *, tenant_id: str) -> tuple[Study, Trial]:
    """Lock a study of the tenant, then a trial of it with its replicates.

    Raises:
        NotFound: If there is none.
    """
    study = queries.get_study(session, study_id, tenant_id=tenant_id, lock=True)
    return study, queries.get_trial(session, study_id, trial_id, lock=True)


def report(session: Session, study: Study, trial: Trial, *, measured: MeasurementReport) -> TrialSignal:
    """Store a measurement. Return whether the trial should stop after it.

    Raises:
        InvalidReport: If it has a name that the service itself writes.
        ConflictingResult: If the attempt has reported something else at that step.
    """
    _refuse(reserved_errors(measured.metrics, pointer="/metrics"))
    stop = lifecycle.record_measurement(
        session,
        study,
        trial,
        attempt=measured.attempt,
        measurement=Measurement(step=measured.step, metrics=measured.metrics),
    )
    stored = session.get_one(TrialMeasurement, (trial.id, measured.attempt, measured.step))
    if not adds_nothing(measured.metrics, stored.metrics):
        raise ConflictingResult(
            f"Attempt {measured.attempt} has reported other metrics at step {measured.step}. Report new ones "
            "at a further step."
        )
    if stop:
        return TrialSignal(should_stop=True, reason=StopReason.STOPPED_EARLY)
    unwanted = not replication.is_wanted(study, trial.replicates)
    return TrialSignal(should_stop=unwanted, reason=StopReason.NOT_WANTED if unwanted else None)


def complete(session: Session, study: Study, trial: Trial, *, ended: CompletionRequest) -> None:
    """Accept how an attempt ended, and store the front that follows from it.

    Raises:
        InvalidReport: If a metric is missing or cannot be used.
        WrongState: If it stopped early without being told to.
        ConflictingResult: If the attempt has ended with another result.
    """
    _refuse(reserved_errors(ended.metrics, pointer="/metrics"))
    exact: dict[str, float] = {}
    metrics = with_network_metrics(study, trial, ended.metrics)
    if ended.state is TrialState.SUCCEEDED:
        # Of a `peft` study the runner counts for itself what it has trained.
        exact = exact_metrics_of(study, None, trial.parameters)
        _refuse(result_errors(study, metrics, exact=exact, pointer="/metrics"))
    if ended.state is TrialState.STOPPED_EARLY:
        measured = queries.measurements_of(session, {trial.id: ended.attempt})[trial.id]
        if not measured or not early_stops.says_stop(measured[-1].metrics):
            raise WrongState("The trial was not told to stop. Report what came out of it, or release it.")
    report = TrialReport(
        state=ended.state,
        reason=ended.reason,
        metrics={**metrics, **exact},
        test_metrics=ended.test_metrics,
    )
    replicate = replication.of_attempt(trial, ended.attempt)
    if replicate is None or replicate.state is TrialState.CANCELLED:
        raise replication.stale(trial.id, ended.attempt, replicate)
    if _was_silent(replicate) and report.state in (TrialState.SUCCEEDED, TrialState.INFEASIBLE):
        # The trial was given up when its runner fell silent: a late result corrects that.
        late = report.model_copy(update={"reason": report.reason or "told after the trial was given up"})
        known_results.correct(session, study, trial, replicate, report=late)
    elif not repeats(study, trial, replicate, report):
        lifecycle.finish_trial(
            session, study, trial, attempt=ended.attempt, report=report, max_attempts=settings().max_attempts
        )


def correct(session: Session, study: Study, trial: Trial, *, corrected: CorrectionRequest) -> None:
    """Replace the result of an ended trial.

    Raises:
        InvalidReport: If a metric is missing or cannot be used, or it is not said which seed is meant.
        WrongState: If the trial has not ended, or a worker of the service has measured it.
    """
    stored = trial.configuration
    typed = None if stored is None else TrialConfiguration.model_validate(stored)
    exact = exact_metrics_of(study, typed, trial.parameters)
    if corrected.state is TrialState.SUCCEEDED:
        _refuse(result_errors(study, corrected.metrics, exact=exact, pointer="/metrics"))
    report = TrialReport(
        state=corrected.state,
        reason=corrected.reason,
        metrics=corrected.metrics | finite(exact),
        test_metrics=corrected.test_metrics,
    )
    meant = _meant(trial.replicates, corrected.replicate)
    known_results.correct(session, study, trial, meant, report=report)


async def _until_rung(bell: asyncio.Event, *, seconds: float) -> None:
    pause = min(PAUSE_SECONDS, seconds)
    await asyncio.sleep(pause)
    try:
        async with asyncio.timeout(seconds - pause):
            await bell.wait()
    except TimeoutError:
        return


def _suggest_now(study_id: str, request: SuggestRequest, *, tenant_id: str) -> SuggestedTrials:
    worker, count = request.worker_id, request.count
    with transaction() as session:
        study = queries.get_study(session, study_id, tenant_id=tenant_id)
        taken: list[Replicate] = []
        waiting = queries.open_replicates(session, study.id, worker=worker)
        # Requests that wait do not queue for the study's lock.
        if waiting.held or _may_take(session, study, waiting):
            study = queries.get_study(session, study_id, tenant_id=tenant_id, lock=True)
            taken = _take(session, study, worker=worker, count=count, lease_seconds=request.lease_seconds)
        session.flush()
        return SuggestedTrials(
            trials=tuple(_suggested(session.get_one(Trial, item.trial_id), item) for item in taken),
            study_state=study.state,
            lease_seconds=request.lease_seconds or settings().lease_seconds,
        )


def _take(
    session: Session, study: Study, *, worker: str, count: int, lease_seconds: float | None
) -> list[Replicate]:
    waiting = queries.open_replicates(session, study.id, worker=worker)
    taken = (
        queries.replicates_in(session, study.id, [TrialState.RUNNING], worker=worker)[:count]
        if waiting.held
        else []
    )
    for held in taken:
        # A request without a length keeps the length of a lease that is long on purpose.
        length = lease_seconds or held.lease_seconds or settings().lease_seconds
        replication.lease(held, lease_seconds=length)
    if study.state is not StudyState.ACTIVE:
        return taken
    for _ in range(min(count - len(taken), leases.free_slots(session, study, waiting))):
        trial = queries.next_queued(session, study.id)
        if trial is None:
            break
        length = lease_seconds or settings().lease_seconds
        taken.append(lifecycle.start_trial(session, study, trial, worker=worker, lease_seconds=length))
        session.flush()
    return taken


def _may_take(session: Session, study: Study, waiting: OpenReplicates) -> bool:
    if study.state is not StudyState.ACTIVE:
        return False
    if not waiting.queued or waiting.running >= study.parallelism:
        return False
    return not limits.is_at_running_limit(session, study.tenant_id)


def _suggested(trial: Trial, replicate: Replicate) -> SuggestedTrial:
    configuration = None
    if trial.configuration is not None:
        configuration = TrialConfiguration.model_validate(trial.configuration)
        configuration = patch(configuration, {"training.seed": replicate.seed})
    return SuggestedTrial.copied_from(
        replicate,
        number=trial.number,
        replicate=replicate.number,
        parameters=trial.parameters,
        configuration=configuration,
    )


def _was_silent(replicate: Replicate) -> bool:
    """Return whether a replicate was given up because its last runner fell silent."""
    return replicate.state is TrialState.FAILED and (replicate.state_reason or "").startswith(
        replication.LOST
    )


def _meant(replicates: Sequence[Replicate], number: int | None) -> Replicate:
    if number is None and len(replicates) == 1:
        return replicates[0]
    named = [replicate for replicate in replicates if replicate.number == number]
    if not named:
        numbers = ", ".join(str(replicate.number) for replicate in replicates)
        detail = f"say which seed is meant: the trial has {numbers}"
        _refuse(iter([FieldError(pointer="/replicate", detail=detail)]))
    return named[0]


def _refuse(errors: Iterator[FieldError]) -> None:
    listed = list(errors)
    if listed:
        raise InvalidReport("The report does not fit its study; `errors` says where and why.", errors=listed)
