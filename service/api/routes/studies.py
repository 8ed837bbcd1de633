"""The routes under /v1/studies. Each parses the request, calls one function and returns its result."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from api_schemas.acceptance import Acceptance
from api_schemas.base import WITHOUT_NUL
from api_schemas.importance import Importance
from api_schemas.module_maps import ModuleMaps
from api_schemas.pareto import FrontBasis, HypervolumeHistory, ParetoFront
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.runs import RunColumns
from api_schemas.slices import SliceRead
from api_schemas.studies import StudyCreate, StudyPage, StudyQuery, StudyRead
from api_schemas.study_changes import StudyClone, StudyExtension, StudyUpdate
from api_schemas.study_validation import StudyValidation
from api_schemas.trial_columns import TrialColumns
from api_schemas.trial_logs import TrialLogs
from api_schemas.trials import TrialPage, TrialRead
from service.api.dependencies import SessionDep, TenantDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.idempotency import (
    IdempotentDep,
    IdempotentRequest,
    accept_key,
    replay,
    run_once,
)
from service.api.protocol.problems import documented
from service.api.read_models.fronts import hypervolume_history, pareto_front
from service.api.read_models.module_maps import module_maps
from service.api.read_models.recommendations import recommend
from service.api.read_models.requested_study import StudyDep, StudyId, TrialId, VersionDep, set_etag
from service.api.read_models.runs import run_columns
from service.api.read_models.slices import slice_read
from service.api.read_models.studies import importance, study_page, study_read
from service.api.read_models.trial_columns import trial_columns
from service.api.read_models.trial_logs import trial_logs
from service.api.read_models.trials import trial_read, trial_reads
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Study
from service.studies import acceptance, creation, deletion, settings_changes, steering
from service.studies.cloning import validate_edited
from service.studies.preview import preview
from service.studies.validation import ValidStudy, validate_study

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=documented(401, 404, 422, 503))

PageSize = Annotated[int, Query(ge=1, le=500)]
Basis = Annotated[
    FrontBasis | None, Query(description="`believed` if left out, where metrics are noisy; else `observed`.")
]
EventNumber = Annotated[int, Query(ge=0, lt=2**31, description="A `sequence` that an answer has shown.")]
FrontNumber = Annotated[
    int | None,
    Query(ge=1, lt=2**31, description="The observed front after so many results; else the latest."),
]
ObjectiveName = Annotated[
    str | None, Query(max_length=100, pattern=WITHOUT_NUL, description="The first objective if left out.")
]
ParameterName = Annotated[
    str | None, Query(max_length=200, pattern=WITHOUT_NUL, description="The most important one if left out.")
]
SecondName = Annotated[
    str | None, Query(max_length=200, pattern=WITHOUT_NUL, description="Another one, for a slice over two.")
]
OneTrial = Annotated[str | None, Query(pattern=WITHOUT_NUL, max_length=100)]
NumberToken = Annotated[int | None, Query(ge=0, le=2**31 - 1)]

POSTED = documented(400, 409, 415)
CREATED = POSTED | documented(507)


@router.post("", status_code=201, response_model=StudyRead, responses=CREATED)
def create_study(request: StudyCreate, posted: IdempotentDep) -> Response:
    """Create a study. Its first trials are proposed at once, or once it is resumed if created PAUSED."""
    # Without a database connection: it may read large files, or download them.
    return replay(posted) or _create(validate_study(request, tenant_id=posted.tenant_id), posted)


@router.post(":validate", dependencies=[Depends(accept_key)], responses=documented(400, 415))
def check_study(request: StudyCreate, tenant_id: TenantDep) -> StudyValidation:
    """Check a study as posting it would, and store nothing: what it would be, or why it is refused."""
    valid = validate_study(request, tenant_id=tenant_id)
    with transaction() as session:
        return preview(session, valid, tenant_id=tenant_id)


@router.get("", responses=NOT_MODIFIED)
def list_studies(
    session: SessionDep, tenant_id: TenantDep, wanted: Annotated[StudyQuery, Query()]
) -> StudyPage:
    """List your studies, newest first."""
    return study_page(session, queries.list_studies(session, wanted, tenant_id=tenant_id), wanted)


@router.get("/{study_id:id}", responses=NOT_MODIFIED)
def get_study(study: StudyDep, session: SessionDep) -> StudyRead:
    """Read a study."""
    return study_read(session, study)


@router.patch("/{study_id:id}", responses=documented(400, 409, 412, 415, 428))
def update_study(
    update: StudyUpdate, study: VersionDep, session: SessionDep, request: Request, response: Response
) -> StudyRead:
    """Change settings of a study. `If-Match` must hold the ETag of the version that you have read."""
    shown = study_read(session, settings_changes.apply(session, study, update))
    set_etag(response, request, study)
    return shown


@router.get("/{study_id}/trials", responses=NOT_MODIFIED)
def list_trials(
    study: StudyDep, session: SessionDep, page_size: PageSize = 50, page_token: NumberToken = None
) -> TrialPage:
    """List the trials of a study by number."""
    after = -1 if page_token is None else page_token
    trials = queries.list_trials(session, study.id, page_size=page_size, after=after)
    token = str(trials[-1].number) if len(trials) == page_size else None
    return TrialPage(trials=trial_reads(session, study, trials), next_page_token=token)


@router.get("/{study_id}/trial_columns", responses=NOT_MODIFIED)
def list_trial_columns(study: StudyDep, session: SessionDep, changed_after: EventNumber = 0) -> TrialColumns:
    """Read all trials of a study as columns, or those that have changed since an event of the study."""
    return trial_columns(session, study, changed_after=changed_after)


@router.get("/{study_id}/trials/{trial_id:id}", responses=NOT_MODIFIED)
def get_trial(trial_id: TrialId, study: StudyDep, session: SessionDep) -> TrialRead:
    """Read a trial."""
    return trial_read(session, study, queries.get_trial(session, study.id, trial_id))


@router.get("/{study_id}/trials/{trial_id:id}/logs", responses=NOT_MODIFIED)
def list_trial_logs(
    study_id: StudyId, trial_id: TrialId, session: SessionDep, tenant_id: TenantDep
) -> TrialLogs:
    """Read the last lines of each of a trial's attempts, live while it runs and after it."""
    # The version of the study says nothing of logs, so it is no ETag of them.
    study = queries.get_study(session, study_id, tenant_id=tenant_id)
    return trial_logs(session, queries.get_trial(session, study.id, trial_id))


@router.get("/{study_id}/pareto_front", responses=NOT_MODIFIED)
def get_pareto_front(
    study: StudyDep, session: SessionDep, by: Basis = None, sequence: FrontNumber = None
) -> ParetoFront:
    """Read the Pareto front after the last accepted result or an earlier one, as observed or as believed."""
    return pareto_front(session, study, by, sequence=sequence)


@router.get("/{study_id}/hypervolume_history", responses=NOT_MODIFIED)
def get_hypervolume_history(study: StudyDep, session: SessionDep) -> HypervolumeHistory:
    """Read the hypervolume after each accepted result."""
    return hypervolume_history(session, study)


@router.get("/{study_id}/recommendation", responses=documented(409) | NOT_MODIFIED)
def get_recommendation(
    study: StudyDep, session: SessionDep, query: Annotated[RecommendationQuery, Query()]
) -> Recommendation:
    """Recommend one point of the front: by bounds, by weights, or its knee."""
    return recommend(session, study, query)


@router.get("/{study_id}/importance", responses=NOT_MODIFIED)
def get_importance(study: StudyDep, session: SessionDep) -> Importance:
    """Read the importance of each parameter for each objective."""
    return importance(session, study)


@router.get("/{study_id}/slice", responses=NOT_MODIFIED)
def get_slice(
    study: StudyDep,
    session: SessionDep,
    objective: ObjectiveName = None,
    parameter: ParameterName = None,
    second: SecondName = None,
) -> SliceRead:
    """Read how the models see an objective along a parameter or over two, with all others held."""
    return slice_read(session, study, objective=objective, parameter=parameter, second=second)


@router.get("/{study_id}/runs", responses=NOT_MODIFIED)
def list_runs(study: StudyDep, session: SessionDep, trial_id: OneTrial = None) -> RunColumns:
    """Read every attempt of a study's trials, or of one: which worker ran it, when, and how it ended."""
    return run_columns(session, study, trial_id=trial_id)


@router.get("/{study_id}/module_maps", responses=NOT_MODIFIED)
def list_module_maps(study: StudyDep, session: SessionDep, trial_id: OneTrial = None) -> ModuleMaps:
    """Read which modules the trials of the observed front, or one trial, train in which layer."""
    return module_maps(session, study, trial_id=trial_id)


@router.post("/{study_id}:pause", response_model=StudyRead, responses=POSTED)
def pause_study(study_id: StudyId, posted: IdempotentDep) -> Response:
    """Pause a study: no further trials start, running ones finish. Pausing twice changes nothing."""
    return _change(study_id, posted, steering.pause)


@router.post("/{study_id}:resume", response_model=StudyRead, responses=POSTED)
def resume_study(study_id: StudyId, posted: IdempotentDep) -> Response:
    """Resume a paused study. Resuming twice changes nothing."""
    return _change(study_id, posted, steering.resume)


@router.post("/{study_id}:cancel", response_model=StudyRead, responses=POSTED)
def cancel_study(study_id: StudyId, posted: IdempotentDep) -> Response:
    """Cancel a study: queued trials are dropped, running ones stop at their next heartbeat."""
    return _change(study_id, posted, steering.cancel)


@router.post("/{study_id}:extend", response_model=StudyRead, responses=POSTED)
def extend_study(study_id: StudyId, request: StudyExtension, posted: IdempotentDep) -> Response:
    """Add trials to the budget. A study that has succeeded becomes active again."""
    return _change(study_id, posted, partial(steering.extend, trials=request.trials))


@router.post("/{study_id}:accept", response_model=StudyRead, responses=POSTED)
def accept_trial(study_id: StudyId, request: Acceptance, posted: IdempotentDep) -> Response:
    """Decide for one trial of a study, and say why; the event `study.accepted` keeps it."""
    return _change(study_id, posted, partial(acceptance.accept, acceptance=request))


@router.post("/{study_id}:clone", status_code=201, response_model=StudyRead, responses=CREATED)
def clone_study(study_id: StudyId, request: StudyClone, posted: IdempotentDep) -> Response:
    """Create a copy of this study, with changes and, if asked for, with its results."""
    known = replay(posted)
    if known is not None:
        return known
    with transaction() as session:
        source = study_read(session, queries.get_study(session, study_id, tenant_id=posted.tenant_id))
    valid = validate_edited(source, request.edits, tenant_id=posted.tenant_id)
    return _create(valid, posted, import_from=study_id if request.import_trials else None)


@router.delete("/{study_id:id}", status_code=204, responses=documented(409))
def delete_study(study_id: StudyId, tenant_id: TenantDep) -> None:
    """Delete a study that has ended, its trials and their files. Deleting it again returns 404."""
    with transaction() as session:
        study = queries.get_study(session, study_id, tenant_id=tenant_id, lock=True)
        files = deletion.delete_rows(session, study)
    deletion.delete_files(files)


def _change(study_id: str, posted: IdempotentRequest, change: Callable[[Session, Study], Study]) -> Response:
    def effect(session: Session) -> StudyRead:
        study = queries.get_study(session, study_id, tenant_id=posted.tenant_id, lock=True)
        return study_read(session, change(session, study))

    return run_once(posted, effect)


def _create(valid: ValidStudy, posted: IdempotentRequest, *, import_from: str | None = None) -> Response:
    def effect(session: Session) -> StudyRead:
        source = None
        if import_from is not None:
            source = queries.get_study(session, import_from, tenant_id=posted.tenant_id)
        study = creation.create_study(session, valid, tenant_id=posted.tenant_id, source=source)
        return study_read(session, study)

    return run_once(
        posted, effect, status=HTTPStatus.CREATED, location=lambda study: f"{router.prefix}/{study.id}"
    )
