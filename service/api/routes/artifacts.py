"""The routes of the artifacts of trials."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from api_schemas.trials import ArtifactRecord
from service.api.dependencies import SessionDep
from service.api.protocol import artifact_downloads
from service.api.protocol.artifact_downloads import DESCRIBED, SENT, WantedDep
from service.api.protocol.problems import documented
from service.api.read_models.requested_study import StudyDep, TrialId
from service.errors import NotFound
from service.storage import queries
from service.storage.models import Artifact

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=documented(401, 404, 422, 503))

PATH = "/{study_id}/trials/{trial_id}/artifacts/{name}"


def artifact_alone(trial_id: TrialId, name: TrialId, study: StudyDep, session: SessionDep) -> ArtifactRecord:
    """Find a file's record, and give the database connection back: a download may take long.

    Raises:
        NotFound: If the trial left no such file.
    """
    trial = queries.get_trial(session, study.id, trial_id)
    artifact = session.get(Artifact, (trial.id, name))
    if artifact is None:
        raise NotFound(f"Trial '{trial_id}' has no artifact '{name}'.")
    session.commit()
    return ArtifactRecord.model_validate(artifact)


ArtifactDep = Annotated[ArtifactRecord, Depends(artifact_alone, scope="function")]


@router.get(PATH, response_class=StreamingResponse, responses=SENT)
def download_artifact(artifact: ArtifactDep, request: Request, asked: WantedDep) -> Response:
    """Download an artifact of a trial, or a part of it."""
    return artifact_downloads.send(artifact, request, asked)


@router.head(PATH, response_class=Response, responses=DESCRIBED)
def describe_artifact(artifact: ArtifactDep, request: Request) -> Response:
    """Read the size and the hash of an artifact of a trial."""
    return artifact_downloads.describe(artifact, request)
