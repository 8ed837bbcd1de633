"""The routes of external runners: suggest, heartbeat, log, report, complete, release, correct and import."""

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api_schemas.ask_and_tell import (
    AttemptRequest,
    CompletionRequest,
    CorrectionRequest,
    ImportRequest,
    ImportResult,
    MeasurementReport,
    SuggestedTrials,
    SuggestRequest,
    TrialSignal,
)
from api_schemas.log_tail import LastLines
from api_schemas.trial_logs import LogReport
from api_schemas.trials import TrialRead
from service.api.dependencies import SessionDep, TenantDep
from service.api.protocol.idempotency import IdempotentDep, accept_key, run_once
from service.api.protocol.problems import documented
from service.api.read_models.requested_study import StudyId, TrialId
from service.api.read_models.trials import trial_read
from service.storage import queries
from service.studies.imported_trials import import_observations
from service.trials import ask_and_tell, attempt_logs, lifecycle

router = APIRouter(
    prefix="/v1/studies/{study_id}",
    tags=["runners outside"],
    responses=documented(400, 401, 404, 409, 415, 422, 503),
)

# A repeated request names the same attempt, step or worker, so it has one effect without a stored answer.
REPEATABLE = [Depends(accept_key)]


@router.post("/trials:suggest", dependencies=REPEATABLE)
async def suggest_trials(
    study_id: StudyId, body: SuggestRequest, tenant_id: TenantDep, request: Request, response: Response
) -> SuggestedTrials:
    """Get trials to run. An empty answer has the state of the study, and Retry-After if more may come."""
    answer = await ask_and_tell.suggest(
        study_id,
        body,
        tenant_id=tenant_id,
        feed=request.app.state.event_feed,
        is_gone=request.is_disconnected,
        aside=request.scope["place"].given_back,
    )
    if not answer.trials and answer.study_state in ask_and_tell.OPEN_STUDY_STATES:
        response.headers["Retry-After"] = "1"
    return answer


@router.post("/trials/{trial_id}:heartbeat", dependencies=REPEATABLE)
def send_heartbeat(
    study_id: StudyId, trial_id: TrialId, body: AttemptRequest, session: SessionDep, tenant_id: TenantDep
) -> TrialSignal:
    """Renew the lease of a trial. The answer says whether its result is still wanted."""
    study = queries.get_study(session, study_id, tenant_id=tenant_id)
    return ask_and_tell.heartbeat(session, study, trial_id, attempt=body.attempt)


@router.post("/trials/{trial_id}:log", status_code=204, dependencies=REPEATABLE)
def send_log(
    study_id: StudyId, trial_id: TrialId, body: LogReport, session: SessionDep, tenant_id: TenantDep
) -> None:
    """Send the last lines of a running attempt, in place of those that it sent before."""
    study = queries.get_study(session, study_id, tenant_id=tenant_id)
    said = LastLines(body.text, body.omitted_lines)
    attempt_logs.store_log(session, study, trial_id, attempt=body.attempt, said=said)


@router.post("/trials/{trial_id}:report", dependencies=REPEATABLE)
def report_measurement(
    study_id: StudyId, trial_id: TrialId, body: MeasurementReport, session: SessionDep, tenant_id: TenantDep
) -> TrialSignal:
    """Report metrics at one step. The answer says whether to stop the trial. Repeating changes nothing."""
    study, trial = ask_and_tell.locked(session, study_id, trial_id, tenant_id=tenant_id)
    return ask_and_tell.report(session, study, trial, measured=body)


@router.post("/trials/{trial_id}:complete", dependencies=REPEATABLE)
def complete_trial(
    study_id: StudyId, trial_id: TrialId, body: CompletionRequest, session: SessionDep, tenant_id: TenantDep
) -> TrialRead:
    """Report how a trial ended. Repeating the report of an attempt changes nothing."""
    study, trial = ask_and_tell.locked(session, study_id, trial_id, tenant_id=tenant_id)
    ask_and_tell.complete(session, study, trial, ended=body)
    return trial_read(session, study, trial)


@router.post("/trials/{trial_id}:release", response_model=TrialRead)
def release_trial(
    study_id: StudyId, trial_id: TrialId, body: AttemptRequest, posted: IdempotentDep
) -> Response:
    """Return an unfinished trial. Another runner gets it, and the attempt does not count."""

    def effect(session: Session) -> TrialRead:
        study, trial = ask_and_tell.locked(session, study_id, trial_id, tenant_id=posted.tenant_id)
        lifecycle.release_trial(session, study, trial, attempt=body.attempt)
        return trial_read(session, study, trial)

    return run_once(posted, effect)


@router.post("/trials/{trial_id}:correct", response_model=TrialRead)
def correct_trial(
    study_id: StudyId, trial_id: TrialId, body: CorrectionRequest, posted: IdempotentDep
) -> Response:
    """Replace a wrong result. The front is computed again; the event records both results."""

    def effect(session: Session) -> TrialRead:
        study, trial = ask_and_tell.locked(session, study_id, trial_id, tenant_id=posted.tenant_id)
        ask_and_tell.correct(session, study, trial, corrected=body)
        return trial_read(session, study, trial)

    return run_once(posted, effect)


@router.post("/trials:import", response_model=ImportResult)
def import_trials(study_id: StudyId, body: ImportRequest, posted: IdempotentDep) -> Response:
    """Import past results into a study. They do not count against its budget. Repeating adds nothing."""

    def effect(session: Session) -> ImportResult:
        study = queries.get_study(session, study_id, tenant_id=posted.tenant_id, lock=True)
        return import_observations(session, study, body.observations)

    return run_once(posted, effect)
