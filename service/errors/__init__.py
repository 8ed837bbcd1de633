"""Everything that can go wrong on our side of the door, each with its HTTP status and its cure.

    ServiceError
    ├── InvalidRequest          422  the request does not fit its schema
    ├── InvalidStudy            422  one or more fields of a posted study cannot work
    │   ├── UnknownBackbone     422
    │   │   └── DamagedBackbone 422  it is there, but its files cannot be loaded
    │   ├── UnknownTask         422
    │   └── InvalidTask         422  there is such a task, but its data cannot be used
    ├── InvalidChoice           422  what is asked of a front does not fit it
    │   └── NoPointWithinBounds 422
    ├── InvalidReport           422  a result or past result does not fit its study
    ├── InvalidTaskFile         422  an uploaded or named file is no readable table
    ├── InvalidWebhook          422  what is asked of a webhook cannot be done
    ├── ReusedIdempotencyKey    422  the key stands for another request
    ├── MalformedJson           400
    ├── Unauthorized            401
    ├── MissingScope            403
    ├── NotFound                404
    ├── MethodNotAllowed        405
    ├── WrongState              409  the study's state does not allow it
    ├── StaleAttempt            409  another attempt owns the trial now
    ├── ConflictingResult       409  the trial has another result, or is being run
    ├── LastAdminKey            409  without this key nobody could make another
    ├── LimitReached            409  the tenant has as much as it may have
    ├── TaskFileInUse           409  an open study reads the file
    ├── RequestInProgress       409  the first request with this Idempotency-Key is not done
    ├── OutdatedVersion         412  the study has changed since it was read
    ├── BodyTooLarge            413
    │   └── TaskFileTooLarge    413
    ├── UnsupportedMediaType    415
    ├── VersionRequired         428  a change must name the version it changes
    ├── TooManyRequests         429
    ├── InternalError           500
    ├── DatabaseAway            503
    └── InsufficientStorage     507  the server's disk is full

What only one module raises stands there; what stands in the way of a change is in `conflicts`.

A docstring's first line is the title, the rest is what to do: `GET /problems/{slug}` shows both.
`errors` points at the guilty fields.
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

    def __init_subclass__(cls, *, status: HTTPStatus | None = None, slug: str | None = None) -> None:
        """Name the problem after its class. Callers see the name: a renamed class keeps it as its `slug`."""
        cls.slug = slug or re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
        if status is not None:
            cls.status = status

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def as_problem(self) -> Problem:
        """Return the RFC 9457 body."""
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
    the name of a parameter. Unknown fields and unknown query parameters are refused, too, because
    they are spelling mistakes more often than not. `/openapi.json` has the schema.
    """


class InvalidStudy(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The study cannot work as posted.

    The request fits its schema, but not the backbone, the task or the search space that it names.
    `errors` has a JSON pointer to every guilty field; correct them all and post again.
    """


class UnknownBackbone(InvalidStudy):
    """The backbone cannot be loaded.

    The answer lists the backbones that can. `local:NAME` needs a folder in the server's models
    directory, `ORGANISATION/NAME` a connection from the server to the hub.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(pointer="/configuration/backbone", detail=detail)])


class DamagedBackbone(UnknownBackbone):
    """The backbone's files cannot be loaded.

    They are there, but damaged, incomplete or pickled. Fetch them again as safetensors.
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

    The answer names columns or rows. Correct the file, or what the study says about it, and post again.
    """

    def __init__(self, details: Mapping[str, str]) -> None:
        """Take a sentence for each guilty field of the task."""
        super().__init__(
            " ".join(details.values()),
            errors=[
                FieldError(pointer=f"/configuration/task/{field}", detail=detail)
                for field, detail in details.items()
            ],
        )


class InvalidChoice(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The study cannot be asked for this choice.

    A choice is made by bounds, by weights, or by neither; each names an objective of the study or a metric
    that its trials report. `errors` says what does not fit.
    """


class NoPointWithinBounds(InvalidChoice):
    """No point of the front keeps the bounds.

    The answer says how near the front comes. Loosen a bound, or extend the study.
    """


class InvalidReport(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """What was reported does not fit its study.

    A result needs every metric that the study names; parameters must be those of its search space.
    `errors` has a JSON pointer to every guilty value; correct them and send it again.
    """


class InvalidTaskFile(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The file is no readable table.

    It must be UTF-8 CSV, TSV or JSONL, or Parquet, with a name that says which. The answer names the place.
    """


class ReusedIdempotencyKey(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """This Idempotency-Key stands for another request.

    A key names one request: one method, one path, one body. Send a new request with a new key; repeat
    the old one exactly as it was to get its answer again.
    """


class MalformedJson(ServiceError, status=HTTPStatus.BAD_REQUEST):
    """The body is not JSON.

    It must be one JSON value in UTF-8. NaN and Infinity are no JSON.
    """


class InvalidWebhook(ServiceError, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The webhook cannot work so.

    Give an address that is `https` and public, and events that there are; `errors` says which field is wrong.
    """

    def __init__(self, detail: str, *, pointer: str = "/url") -> None:
        super().__init__(detail, errors=[FieldError(pointer=pointer, detail=detail)])


class Unauthorized(ServiceError, status=HTTPStatus.UNAUTHORIZED):
    """The request carries no valid API key.

    Send it as `Authorization: Bearer KEY`. Keys can be revoked and can expire; `paretune up` makes the first
    one and prints it, an admin makes more.
    """

    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class MissingScope(ServiceError, status=HTTPStatus.FORBIDDEN):
    """The API key may not do this.

    Keys have the scope `read`, `write` or `admin`, each with all that the ones before it may. An admin of
    your tenant makes keys with `POST /v1/keys`, the operator with `paretune keys create`.
    """


class NotFound(ServiceError, status=HTTPStatus.NOT_FOUND):
    """There is no such thing, or it is not yours.

    Both get the same answer. `GET /v1/studies` lists your studies, `/openapi.json` the routes.
    """


class MethodNotAllowed(ServiceError, status=HTTPStatus.METHOD_NOT_ALLOWED):
    """The resource does not take this method.

    The header `Allow` lists those that it takes.
    """


class WrongState(ServiceError, status=HTTPStatus.CONFLICT):
    """The study's state does not allow this.

    The answer names the state. A study that was cancelled or has failed can be cloned; one that
    succeeded can be extended.
    """


class StaleAttempt(ServiceError, status=HTTPStatus.CONFLICT):
    """Another attempt owns the trial now.

    The lease ran out and another worker took the trial, or it was cancelled or deleted. Drop the result. A
    word that is merely late is heard: until another attempt begins, the trial is its last attempt's.
    """


class LimitReached(ServiceError, status=HTTPStatus.CONFLICT):
    """The tenant has as much as it may have.

    The answer names the limit. Wait until studies end, cancel or delete some, or ask the operator for more.
    """

    # Not 429: trying again changes nothing until somebody makes room.


class RequestInProgress(ServiceError, status=HTTPStatus.CONFLICT):
    """The first request with this Idempotency-Key is still being served.

    Repeat the request in a second; it gets the answer of the first.
    """

    headers = MappingProxyType({"Retry-After": "1"})


class OutdatedVersion(ServiceError, status=HTTPStatus.PRECONDITION_FAILED):
    """The study has changed since it was read.

    `If-Match` names an older version. Read the study, see whether the change still makes sense, and send it
    with the new ETag.
    """


class BodyTooLarge(ServiceError, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, slug="content-too-large"):
    """The body is too large.

    A study needs no more than the limit that the answer names. Rows go to `PUT /v1/task_files/{name}`.
    """

    headers = MappingProxyType({"Connection": "close"})


class TaskFileTooLarge(BodyTooLarge):
    """The file is too large.

    Parquet is smaller than CSV; an operator can raise `PARETUNE_MAX_TASK_FILE_BYTES`.
    """


class UnsupportedMediaType(ServiceError, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE):
    """The body has a type that is not read here.

    Send JSON with `Content-Type: application/json`.
    """


class VersionRequired(ServiceError, status=HTTPStatus.PRECONDITION_REQUIRED):
    """A change must say which version it changes.

    Read the study and send its ETag back in `If-Match`, so that nobody's change is lost.
    """


class TooManyRequests(ServiceError, status=HTTPStatus.TOO_MANY_REQUESTS):
    """The API key makes too many requests.

    Wait for the seconds of `Retry-After`. Polls with `If-None-Match` count, too.
    """

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after_seconds)}


class InternalError(ServiceError):
    """Something broke on our side.

    The request was not carried out. Try again; the server's log has the cause.
    """


class DatabaseAway(ServiceError, status=HTTPStatus.SERVICE_UNAVAILABLE):
    """The database cannot be reached.

    The request was not carried out. Trials that run go on; try again in a few seconds.
    """

    headers = MappingProxyType({"Retry-After": "1"})
