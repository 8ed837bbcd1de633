"""The errors that the service answers with: each has an HTTP status and says what to do.

    ServiceError
    ├── InvalidRequest          422  the request does not fit its schema
    ├── InvalidStudy            422  one or more fields of a posted study cannot work
    │   ├── UnknownBackbone     422
    │   │   └── DamagedBackbone 422  its files exist but cannot be loaded
    │   ├── UnknownTask         422
    │   └── InvalidTask         422  the task exists, but its data cannot be used
    ├── InvalidChoice           422  a recommendation was asked for that the front cannot give
    │   └── NoPointWithinBounds 422
    ├── InvalidReport           422  a result or past result does not fit its study
    ├── InvalidTaskFile         422  a file is not a table that can be read
    ├── InvalidWebhook          422  the webhook's URL or events cannot be used
    ├── ReusedIdempotencyKey    422  the key was used for another request
    ├── MalformedJson           400
    ├── Unauthorized            401
    ├── MissingScope            403
    ├── NotFound                404
    ├── MethodNotAllowed        405
    ├── WrongState              409  not allowed in the study's state
    ├── StaleAttempt            409  the trial belongs to another attempt
    ├── ConflictingResult       409  the trial has another result, or is being run
    ├── LastAdminKey            409  the tenant's last key that can make others
    ├── LimitReached            409  a limit of the tenant is reached
    ├── TaskFileInUse           409  an open study reads the file
    ├── TaskFileChanged         409  the study's file is not what it was
    ├── RequestInProgress       409  the first request with this Idempotency-Key is running
    ├── OutdatedVersion         412  the study has changed since it was read
    ├── BodyTooLarge            413
    │   └── TaskFileTooLarge    413
    ├── UnsupportedMediaType    415
    ├── VersionRequired         428  a change must name the version it changes
    ├── TooManyRequests         429
    ├── InternalError           500
    ├── DatabaseAway            503
    └── InsufficientStorage     507  the server's disk is full

An error that one module raises is defined there; conflicts with existing data are in `conflicts`.

The first line of a docstring is the problem's title, the rest says what to do; `GET /problems/{slug}` shows
both. `errors` has a JSON pointer to each wrong field.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar

from api_schemas.errors import FieldError, Problem


class ServiceError(Exception):
    """The request cannot be served."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    slug: ClassVar[str]
    headers: Mapping[str, str] = MappingProxyType({})

    def __init_subclass__(
        cls,
        *,
        status: HTTPStatus | None = None,
        slug: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Derive the slug from the class name. It is part of the API: a renamed class sets its old `slug`."""
        cls.slug = slug or re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
        if status is not None:
            cls.status = status
        if retry_after_seconds is not None:
            cls.headers = MappingProxyType({"Retry-After": str(retry_after_seconds)})

    def __init__(
        self, detail: str, *, errors: Sequence[FieldError] = (), retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        if retry_after_seconds is not None:
            self.headers = {"Retry-After": str(retry_after_seconds)}

    def as_problem(self) -> Problem:
        """Return the body of the response (RFC 9457, problem details)."""
        return Problem(
            type=f"/problems/{self.slug}",
            title=(type(self).__doc__ or "").splitlines()[0],
            status=self.status,
            detail=self.detail,
            errors=self.errors,
        )


UNFIT = "`errors` says where and why; /openapi.json has the schema."


class InvalidRequest(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The request does not fit its schema.

    `errors` says where and why: a JSON pointer into the body, or `query:`, `path:` or `header:` before
    the name of a parameter. Unknown fields and unknown query parameters are refused too, because
    most of them are spelling mistakes. `/openapi.json` has the schema.
    """


class InvalidStudy(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The study cannot work as posted.

    The request fits its schema, but not the backbone, the task or the search space that it names.
    `errors` has a JSON pointer to every wrong field; correct them all and post again.
    """


class UnknownBackbone(InvalidStudy):
    """The backbone cannot be loaded.

    The answer lists the backbones that can be loaded. `local:NAME` needs a folder in the server's models
    directory; for `ORGANISATION/NAME` the server must reach the Hugging Face hub.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(pointer="/configuration/backbone", detail=detail)])


class DamagedBackbone(UnknownBackbone):
    """The backbone's files cannot be loaded.

    They exist, but are damaged, incomplete or pickled. Download them again as safetensors.
    """


class UnknownTask(InvalidStudy):
    """The task cannot be loaded.

    The answer lists the packaged tasks. Upload rows of your own with `PUT /v1/task_files/{name}` and name
    them `file:NAME`.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(pointer="/configuration/task/name", detail=detail)])


class InvalidTask(InvalidStudy):
    """The task's data cannot be used.

    The answer names the columns or rows. Correct the file or the study's `task`, and post again.
    """

    def __init__(self, details: Mapping[str, str]) -> None:
        """Take a sentence for each wrong field of the task."""
        super().__init__(
            " ".join(details.values()),
            errors=[
                FieldError(pointer=f"/configuration/task/{field}", detail=detail)
                for field, detail in details.items()
            ],
        )


class InvalidChoice(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The study cannot be asked for this choice.

    Give bounds, weights, or neither; accept a trial of this study. Weights name objectives of the study;
    bounds may also name any metric that its trials report. `errors` lists what is wrong.
    """


class NoPointWithinBounds(InvalidChoice):
    """No point of the front keeps the bounds.

    The answer names the nearest point. Loosen a bound, or extend the study.
    """


class InvalidReport(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """What was reported does not fit its study.

    A result needs every metric that the study names; parameters must be those of its search space.
    `errors` has a JSON pointer to every wrong value; correct them and send the report again.
    """


class InvalidTaskFile(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The file is no readable table.

    It must be CSV, TSV or JSONL in UTF-8, or Parquet, with the matching extension. The answer names the line
    or column that cannot be read.
    """


class ReusedIdempotencyKey(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """This Idempotency-Key stands for another request.

    A key identifies one request: method, path and body. Use a new key for a new request; to get the first
    answer again, repeat the first request unchanged.
    """


class MalformedJson(ServiceError, status=HTTPStatus.BAD_REQUEST):
    """The body is not JSON.

    Send one JSON value in UTF-8. NaN and Infinity are not JSON.
    """


class InvalidWebhook(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The webhook cannot work so.

    The URL must be public and `https`, the events must exist. `errors` says which field is wrong.
    """

    def __init__(self, detail: str, *, pointer: str = "/url") -> None:
        super().__init__(detail, errors=[FieldError(pointer=pointer, detail=detail)])


class Unauthorized(ServiceError, status=HTTPStatus.UNAUTHORIZED):
    """The request carries no valid API key.

    Send a key as `Authorization: Bearer KEY`. Keys can be revoked and can expire. `paretune up` creates the
    first one and prints it; an admin creates more.
    """

    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class MissingScope(ServiceError, status=HTTPStatus.FORBIDDEN):
    """The API key may not do this.

    A key has the scope `read`, `write` or `admin`; each includes the ones before it. Ask an admin of your
    tenant for a key (`POST /v1/keys`), or the operator (`paretune keys create`).
    """


class NotFound(ServiceError, status=HTTPStatus.NOT_FOUND):
    """There is no such thing, or it is not yours.

    Both cases get the same answer. `GET /v1/studies` lists your studies, `/openapi.json` the routes.
    """


class MethodNotAllowed(ServiceError, status=HTTPStatus.METHOD_NOT_ALLOWED):
    """The resource does not take this method.

    The header `Allow` lists the methods that it takes.
    """


class WrongState(ServiceError, status=HTTPStatus.CONFLICT):
    """The study's state does not allow this.

    The answer names the state. A cancelled or failed study can be cloned; one that succeeded can be
    extended.
    """


class StaleAttempt(ServiceError, status=HTTPStatus.CONFLICT):
    """Another attempt owns the trial now.

    The lease expired and another worker took the trial, or the trial was cancelled or deleted. Drop the
    result. A late report is accepted until another attempt begins.
    """


class LimitReached(ServiceError, status=HTTPStatus.CONFLICT):
    """The tenant has as much as it may have.

    The answer names the limit. Wait until studies end, cancel or delete some, or ask the operator for a
    higher limit.
    """

    # Not 429: a retry cannot succeed until something is deleted or has ended.


class RequestInProgress(ServiceError, status=HTTPStatus.CONFLICT, retry_after_seconds=1):
    """The first request with this Idempotency-Key is still being served.

    Repeat the request in a second to get the answer of the first.
    """


class OutdatedVersion(ServiceError, status=HTTPStatus.PRECONDITION_FAILED):
    """The study has changed since it was read.

    `If-Match` names an older version. Read the study again, check that the change still makes sense, and send
    it with the new ETag.
    """


class BodyTooLarge(ServiceError, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, slug="content-too-large"):
    """The body is too large.

    The answer names the limit. Upload rows with `PUT /v1/task_files/{name}` instead of sending them here.
    """

    headers = MappingProxyType({"Connection": "close"})


class TaskFileTooLarge(BodyTooLarge):
    """The file is too large.

    Parquet is smaller than CSV; the operator can raise `PARETUNE_MAX_TASK_FILE_BYTES`.
    """


class UnsupportedMediaType(ServiceError, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE):
    """The body has an unsupported type.

    Send JSON with `Content-Type: application/json`.
    """


class VersionRequired(ServiceError, status=HTTPStatus.PRECONDITION_REQUIRED):
    """A change must say which version it changes.

    Read the study and send its ETag in `If-Match`, so that no other change is overwritten.
    """


class TooManyRequests(ServiceError, status=HTTPStatus.TOO_MANY_REQUESTS):
    """The API key makes too many requests.

    Wait for as many seconds as `Retry-After` says. Polls with `If-None-Match` count too.
    """


class InternalError(ServiceError):
    """Something broke on our side.

    The request was not carried out. Try again; the cause is in the server's log.
    """


class DatabaseAway(ServiceError, status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_seconds=1):
    """The database cannot be reached.

    The request was not carried out. Running trials continue; try again in a few seconds.
    """
