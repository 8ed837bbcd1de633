"""The routes under /v1/studies. Each parses, calls one function, and shows the result."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from api_schemas.importance import Importance
from api_schemas.pareto import HypervolumeHistory, ParetoFront
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.studies import StudyCreate, StudyPage, StudyRead
from api_schemas.trials import TrialPage, TrialRead
from service.database import transaction
from service.dependencies import SessionDep, TenantAloneDep, TenantDep
from service.errors import NotFound
from service.ids import new_id
from service.models import Artifact, Study
from service.problems import documented
from service.settings import settings
from service.studies import lifecycle, repository
from service.studies.admission import AdmittedStudy, admit
from service.studies.recommendation_answer import recommend
from service.studies.representation import (
    represent_front,
    represent_hypervolume_history,
    represent_importance,
    represent_studies,
    represent_study,
    represent_trials,
)

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=documented(401, 404, 422))

PageSize = Annotated[int, Query(ge=1, le=500)]
StudyToken = Annotated[str | None, Query(pattern=r"^std_[0-9a-f]{32}$")]
NumberToken = Annotated[int | None, Query(ge=0)]


@router.post("", status_code=201, responses=documented(400, 413))
def create_study(request: StudyCreate, tenant_id: TenantAloneDep) -> StudyRead:
    """Register a study; its first trials are proposed at once."""
    # Without a database connection: it may read large files, or download them.
    admitted = admit(request, tenant_id=tenant_id)
    with transaction() as session:
        study = lifecycle.create_study(session, new_study(tenant_id, admitted))
        return represent_study(session, study)


@router.get("")
def list_studies(
    session: SessionDep, tenant_id: TenantDep, page_size: PageSize = 50, page_token: StudyToken = None
) -> StudyPage:
    """List your studies, newest first."""
    studies = repository.list_studies(session, tenant_id=tenant_id, page_size=page_size, before=page_token)
    token = studies[-1].id if len(studies) == page_size else None
    return StudyPage(studies=represent_studies(session, studies), next_page_token=token)


@router.get("/{study_id}")
def get_study(study_id: str, session: SessionDep, tenant_id: TenantDep) -> StudyRead:
    """Read a study."""
    return represent_study(session, repository.get_study(session, study_id, tenant_id=tenant_id))


@router.get("/{study_id}/trials")
def list_trials(
    study_id: str,
    session: SessionDep,
    tenant_id: TenantDep,
    page_size: PageSize = 100,
    page_token: NumberToken = None,
) -> TrialPage:
    """List the trials of a study by number."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id)
    after = -1 if page_token is None else page_token
    trials = repository.list_trials(session, study_id, page_size=page_size, after=after)
    token = str(trials[-1].number) if len(trials) == page_size else None
    return TrialPage(trials=represent_trials(session, study, trials), next_page_token=token)


@router.get("/{study_id}/trials/{trial_id}")
def get_trial(study_id: str, trial_id: str, session: SessionDep, tenant_id: TenantDep) -> TrialRead:
    """Read a trial."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id)
    return represent_trials(session, study, [repository.get_trial(session, study_id, trial_id)])[0]


@router.get("/{study_id}/trials/{trial_id}/artifacts/{name}", response_class=FileResponse)
def download_artifact(
    study_id: str, trial_id: str, name: str, session: SessionDep, tenant_id: TenantDep
) -> FileResponse:
    """Download a file that the trial left."""
    repository.get_study(session, study_id, tenant_id=tenant_id)
    trial = repository.get_trial(session, study_id, trial_id)
    artifact = session.get(Artifact, (trial.id, name))
    if artifact is None:
        raise NotFound(f"Trial '{trial_id}' has no artifact '{name}'.")
    return FileResponse(_artifact_file(artifact), filename=name, headers={"ETag": f'"{artifact.sha256}"'})


@router.get("/{study_id}/pareto_front")
def get_pareto_front(study_id: str, session: SessionDep, tenant_id: TenantDep) -> ParetoFront:
    """Read the front after the last accepted result."""
    return represent_front(session, repository.get_study(session, study_id, tenant_id=tenant_id))


@router.get("/{study_id}/hypervolume_history")
def get_hypervolume_history(study_id: str, session: SessionDep, tenant_id: TenantDep) -> HypervolumeHistory:
    """Read the hypervolume after each accepted result."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id)
    return represent_hypervolume_history(session, study)


@router.get("/{study_id}/recommendation", responses=documented(409))
def get_recommendation(
    study_id: str, session: SessionDep, tenant_id: TenantDep, query: Annotated[RecommendationQuery, Query()]
) -> Recommendation:
    """Choose one point of the front: by bounds, by weights, or its knee."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id)
    return recommend(session, study, query)


@router.get("/{study_id}/importance")
def get_importance(study_id: str, session: SessionDep, tenant_id: TenantDep) -> Importance:
    """Read how much each parameter matters to each objective."""
    return represent_importance(repository.get_study(session, study_id, tenant_id=tenant_id))


@router.post("/{study_id}:pause", responses=documented(409))
def pause_study(study_id: str, session: SessionDep, tenant_id: TenantDep) -> StudyRead:
    """Start no more trials; running ones end. Pausing twice changes nothing."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id, lock=True)
    return represent_study(session, lifecycle.pause(session, study))


@router.post("/{study_id}:resume", responses=documented(409))
def resume_study(study_id: str, session: SessionDep, tenant_id: TenantDep) -> StudyRead:
    """Go on with a paused study. Resuming twice changes nothing."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id, lock=True)
    return represent_study(session, lifecycle.resume(session, study))


@router.post("/{study_id}:cancel", responses=documented(409))
def cancel_study(study_id: str, session: SessionDep, tenant_id: TenantDep) -> StudyRead:
    """End a study: queued trials are dropped, running ones stop at their next heartbeat."""
    study = repository.get_study(session, study_id, tenant_id=tenant_id, lock=True)
    return represent_study(session, lifecycle.cancel(session, study))


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
        search_space=admitted.search_space.model_dump(mode="json", by_alias=True),
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


def _artifact_file(artifact: Artifact) -> Path:
    file = settings().artifacts_dir / artifact.path
    if not file.is_file():
        raise NotFound(f"The file of '{artifact.name}' is gone from the artifact directory.")
    return file
