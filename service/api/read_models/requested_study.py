"""The study that a URL names: read with its version as the ETag, or locked at the version of `If-Match`."""

from typing import Annotated

from fastapi import Depends, Header, Path, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from api_schemas.base import WITHOUT_NUL
from service.api.dependencies import SessionDep, TenantDep
from service.api.protocol.entity_tags import matches_strongly, tag_of_version
from service.errors import OutdatedVersion, VersionRequired
from service.storage import queries
from service.storage.models import Study


class _WithoutVerb(Convertor[str]):
    """A path segment without a colon: what follows a colon is a verb, another resource."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _WithoutVerb())

StudyId = Annotated[str, Path(pattern=WITHOUT_NUL, max_length=100)]
TrialId = Annotated[str, Path(pattern=WITHOUT_NUL, max_length=100)]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag with which the study was read; without it, 428."),
]


def read_study(
    study_id: StudyId, request: Request, response: Response, session: SessionDep, tenant_id: TenantDep
) -> Study:
    """Read the study, and set its version as the ETag of the answer."""
    study = queries.get_study(session, study_id, tenant_id=tenant_id)
    set_etag(response, request, study)
    return study


StudyDep = Annotated[Study, Depends(read_study, scope="function")]


def lock_named_version(
    study_id: StudyId, request: Request, session: SessionDep, tenant_id: TenantDep, if_match: IfMatch = None
) -> Study:
    """Lock the study, if it is still at the version that `If-Match` names.

    Raises:
        VersionRequired: If the request names none.
        OutdatedVersion: If the study has changed since.
    """
    study = queries.get_study(session, study_id, tenant_id=tenant_id, lock=True)
    if if_match is None:
        raise VersionRequired("Read the study and send its ETag as If-Match.")
    if not matches_strongly(if_match, _tag(request, study)):
        raise OutdatedVersion("Read the study again and send its new ETag as If-Match.")
    return study


VersionDep = Annotated[Study, Depends(lock_named_version, scope="function")]


def set_etag(response: Response, request: Request, study: Study) -> None:
    """Set the entity tag of an answer that shows a study at its current version."""
    response.headers["ETag"] = _tag(request, study)
    request.scope["shown_version"] = study.event_sequence


def _tag(request: Request, study: Study) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return tag_of_version(request.scope["path"], query, study_version=study.event_sequence)
