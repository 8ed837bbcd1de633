"""The routes under /v1/studies. Each parses, calls one function, and shows the result."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from api_schemas.importance import Importance
from api_schemas.pareto import HypervolumeHistory, ParetoFront
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.studies import StudyCreate, StudyPage, StudyRead, StudyState
from api_schemas.study_changes import StudyClone, StudyExtension, StudyUpdate
from api_schemas.trials import TrialPage, TrialRead
from service.api.dependencies import SessionDep, TenantDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.idempotency import IdempotentDep, IdempotentRequest, replay, run_once
from service.api.protocol.problems import documented
from service.api.read_models.fronts import hypervolume_history, pareto_front
from service.api.read_models.recommendations import recommend
from service.api.read_models.requested_study import StudyDep, StudyId, TrialId, VersionDep, set_etag
from service.api.read_models.studies import importance, study_read, study_reads
from service.api.read_models.trials import trial_read, trial_reads
from service.storage import queries
from service.storage.database import transaction
from service.storage.ids import new_id
from service.storage.models import Study
from service.studies import deletion, settings_changes, steering
from service.studies.admission import AdmittedStudy, admit, check_task_file
from service.studies.cloning import admit_edited
from service.studies.inherited_trials import inherit_trials
from service.studies.warm_start import with_former_studies

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=documented(401, 404, 422, 503))

PageSize = Annotated[int, Query(ge=1, le=500)]
StudyToken = Annotated[str | None, Query(pattern=r"^std_[0-9a-f]{32}$", examples=[f"std_{'0' * 32}"])]
NumberToken = Annotated[int | None, Query(ge=0, le=2**31 - 1)]

POSTED = documented(400, 409, 415)
CREATED = POSTED | documented(507)


@router.post("", status_code=201, response_model=StudyRead, responses=CREATED)
def create_study(request: StudyCreate, posted: IdempotentDep) -> Response:
    """Register a study; its first trials are proposed at once, or once a PAUSED one is resumed."""
    # Without a database connection: it may read large files, or download them.
    return replay(posted) or _create(admit(request, tenant_id=posted.tenant_id), posted)


@router.get("", responses=NOT_MODIFIED)
def list_studies(
    session: SessionDep, tenant_id: TenantDep, page_size: PageSize = 50, page_token: StudyToken = None
) -> StudyPage:
    """List your studies, newest first."""
    studies = queries.list_studies(session, tenant_id=tenant_id, page_size=page_size, before=page_token)
    token = studies[-1].id if len(studies) == page_size else None
    return StudyPage(studies=study_reads(session, studies), next_page_token=token)


@router.get("/{study_id:id}", responses=NOT_MODIFIED)
def get_study(study: StudyDep, session: SessionDep) -> StudyRead:
    """Read a study."""
    return study_read(session, study)


@router.patch("/{study_id:id}", responses=documented(400, 409, 412, 415, 428))
def update_study(
    update: StudyUpdate, study: VersionDep, session: SessionDep, request: Request, response: Response
) -> StudyRead:
    """Change settings of a study that you have read: `If-Match` takes its ETag."""
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


@router.get("/{study_id}/trials/{trial_id:id}", responses=NOT_MODIFIED)
def get_trial(trial_id: TrialId, study: StudyDep, session: SessionDep) -> TrialRead:
    """Read a trial."""
    return trial_read(session, study, queries.get_trial(session, study.id, trial_id))


@router.get("/{study_id}/pareto_front", responses=NOT_MODIFIED)
def get_pareto_front(study: StudyDep, session: SessionDep) -> ParetoFront:
    """Read the front after the last accepted result."""
    return pareto_front(session, study)


@router.get("/{study_id}/hypervolume_history", responses=NOT_MODIFIED)
def get_hypervolume_history(study: StudyDep, session: SessionDep) -> HypervolumeHistory:
    """Read the hypervolume after each accepted result."""
    return hypervolume_history(session, study)


@router.get("/{study_id}/recommendation", responses=documented(409) | NOT_MODIFIED)
def get_recommendation(
    study: StudyDep, session: SessionDep, query: Annotated[RecommendationQuery, Query()]
) -> Recommendation:
    """Choose one point of the front: by bounds, by weights, or its knee."""
    return recommend(session, study, query)


@router.get("/{study_id}/importance", responses=NOT_MODIFIED)
def get_importance(study: StudyDep) -> Importance:
    """Read how much each parameter matters to each objective."""
    return importance(study)


@router.post("/{study_id}:pause", response_model=StudyRead, responses=POSTED)
def pause_study(study_id: StudyId, posted: IdempotentDep) -> Response:
    """Start no more trials; running ones end. Pausing twice changes nothing."""
    return _change(study_id, posted, steering.pause)


@router.post("/{study_id}:resume", response_model=StudyRead, responses=POSTED)
def resume_study(study_id: StudyId, posted: IdempotentDep) -> Response:
    """Go on with a paused study. Resuming twice changes nothing."""
    return _change(study_id, posted, steering.resume)


@router.post("/{study_id}:cancel", response_model=StudyRead, responses=POSTED)
def cancel_study(study_id: StudyId, posted: IdempotentDep) -> Response:
    """End a study: queued trials are dropped, running ones stop at their next heartbeat."""
    return _change(study_id, posted, steering.cancel)


@router.post("/{study_id}:extend", response_model=StudyRead, responses=POSTED)
def extend_study(study_id: StudyId, request: StudyExtension, posted: IdempotentDep) -> Response:
    """Add trials to the budget; a study that has succeeded goes on."""
    return _change(study_id, posted, partial(steering.extend, trials=request.trials))


@router.post("/{study_id}:clone", status_code=201, response_model=StudyRead, responses=CREATED)
def clone_study(study_id: StudyId, request: StudyClone, posted: IdempotentDep) -> Response:
    """Register a study like this one, with edits; with its results, if you want."""
    known = replay(posted)
    if known is not None:
        return known
    with transaction() as session:
        source = study_read(session, queries.get_study(session, study_id, tenant_id=posted.tenant_id))
    admitted = admit_edited(source, request.edits, tenant_id=posted.tenant_id)
    return _create(admitted, posted, import_from=study_id if request.import_trials else None)


@router.delete("/{study_id:id}", status_code=204, responses=documented(409))
def delete_study(study_id: StudyId, tenant_id: TenantDep) -> None:
    """Delete an ended study, its trials and their files. Deleting it again is a 404, and changes nothing."""
    with transaction() as session:
        study = queries.get_study(session, study_id, tenant_id=tenant_id, lock=True)
        files = deletion.delete_rows(session, study)
    deletion.delete_files(files)


def _change(study_id: str, posted: IdempotentRequest, change: Callable[[Session, Study], Study]) -> Response:
    def effect(session: Session) -> StudyRead:
        study = queries.get_study(session, study_id, tenant_id=posted.tenant_id, lock=True)
        return study_read(session, change(session, study))

    return run_once(posted, effect)


def _create(
    admitted: AdmittedStudy, posted: IdempotentRequest, *, import_from: str | None = None
) -> Response:
    def effect(session: Session) -> StudyRead:
        source = None
        if import_from is not None:
            source = queries.get_study(session, import_from, tenant_id=posted.tenant_id)
        settled = with_former_studies(session, admitted, tenant_id=posted.tenant_id)
        paused = settled.request.state is StudyState.PAUSED
        study = steering.create_study(session, new_study(posted.tenant_id, settled), paused=paused)
        # Under the tenant's lock, without which no file of its is replaced or deleted.
        check_task_file(settled, tenant_id=posted.tenant_id)
        if source is not None:
            inherit_trials(session, source, study)
        return study_read(session, study)

    return run_once(
        posted, effect, status=HTTPStatus.CREATED, location=lambda study: f"{router.prefix}/{study.id}"
    )


def new_study(tenant_id: str, admitted: AdmittedStudy) -> Study:
    """Make the row of an admitted study."""
    posted = admitted.request.model_dump(mode="json", by_alias=True)
    return Study(
        id=new_id("std"),
        tenant_id=tenant_id,
        kind=posted["kind"],
        display_name=admitted.request.display_name,
        configuration=None
        if admitted.configuration is None
        else admitted.configuration.model_dump(mode="json"),
        search_space=admitted.search_space.model_dump(mode="json", by_alias=True, exclude_none=True),
        objectives=posted["objectives"],
        constraints=posted["constraints"],
        starting_points=list(admitted.starting_points),
        trial_budget=admitted.request.budget.trials,
        parallelism=admitted.request.parallelism,
        seed=admitted.request.seed,
        proposals=posted["proposals"],
        replicates=admitted.request.replicates,
        final_replicates=admitted.request.final_replicates,
        early_stopping=admitted.request.early_stopping,
        backbone_shape=(
            None if admitted.backbone_shape is None else admitted.backbone_shape.model_dump(mode="json")
        ),
        classes=admitted.classes,
        reference_defaults=list(admitted.reference_defaults),
    )
