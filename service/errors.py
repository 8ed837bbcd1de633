"""Everything that can go wrong on our side of the door, each with its HTTP status and its cure.

    ServiceError
    ├── InvalidStudy            422  one or more fields of a posted study cannot work
    │   ├── UnknownBackbone     422
    │   │   └── DamagedBackbone 422  it is there, but its files cannot be loaded
    │   ├── UnknownTask         422
    │   └── InvalidTask         422  there is such a task, but its data cannot be used
    ├── InvalidChoice           422  what is asked of a front does not fit it
    │   └── NoPointWithinBounds 422
    ├── InvalidReport           422  a result or past result does not fit its study
    ├── InvalidTaskFile         422  an uploaded or named file is no readable table
    ├── TaskFileTooLarge        413
    ├── InvalidWebhook          422  what is asked of a webhook cannot be done
    ├── Unauthorized            401
    ├── MissingScope            403
    ├── NotFound                404
    ├── WrongState              409  the study's state does not allow it
    ├── StaleAttempt            409  another attempt owns the trial now
    ├── LimitReached            409  the tenant has as much as it may have
    └── TooManyRequests         429

The docstring of a class is its title. `errors` points at the guilty fields.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar

from api_schemas.errors import FieldError, Problem


class ServiceError(Exception):
    """The request cannot be served."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    slug: ClassVar[str] = "service-error"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def as_problem(self) -> Problem:
        """Give the RFC 9457 body."""
        return Problem(
            type=f"/problems/{self.slug}",
            title=(type(self).__doc__ or "").splitlines()[0],
            status=self.status,
            detail=self.detail,
            errors=self.errors,
        )


class InvalidStudy(ServiceError):
    """The study cannot work as posted."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-study"


class UnknownBackbone(InvalidStudy):
    """The backbone cannot be loaded."""

    slug = "unknown-backbone"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(pointer="/configuration/backbone", detail=detail)])


class DamagedBackbone(UnknownBackbone):
    """The backbone's files cannot be loaded."""

    slug = "damaged-backbone"


class UnknownTask(InvalidStudy):
    """The task cannot be loaded."""

    slug = "unknown-task"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(pointer="/configuration/task/name", detail=detail)])


class InvalidTask(InvalidStudy):
    """The task's data cannot be used."""

    slug = "invalid-task"

    def __init__(self, details: Mapping[str, str]) -> None:
        """Take a sentence for each guilty field of the task."""
        super().__init__(
            " ".join(details.values()),
            errors=[
                FieldError(pointer=f"/configuration/task/{field}", detail=detail)
                for field, detail in details.items()
            ],
        )


class InvalidChoice(ServiceError):
    """The study cannot be asked for this choice."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-choice"


class NoPointWithinBounds(InvalidChoice):
    """No point of the front keeps the bounds."""

    slug = "no-point-within-bounds"


class InvalidReport(ServiceError):
    """What was reported does not fit its study."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-report"


class InvalidTaskFile(ServiceError):
    """The file is no readable table."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-task-file"


class TaskFileTooLarge(ServiceError):
    """The file is too large."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "content-too-large"


class InvalidWebhook(ServiceError):
    """The webhook cannot work so."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-webhook"

    def __init__(self, detail: str, *, pointer: str = "/url") -> None:
        super().__init__(detail, errors=[FieldError(pointer=pointer, detail=detail)])


class Unauthorized(ServiceError):
    """The request carries no valid API key."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class MissingScope(ServiceError):
    """The API key may not do this."""

    status = HTTPStatus.FORBIDDEN
    slug = "missing-scope"


class NotFound(ServiceError):
    """There is no such thing, or it is not yours."""

    status = HTTPStatus.NOT_FOUND
    slug = "not-found"


class WrongState(ServiceError):
    """The study's state does not allow this."""

    status = HTTPStatus.CONFLICT
    slug = "wrong-state"


class StaleAttempt(ServiceError):
    """Another attempt owns the trial now."""

    status = HTTPStatus.CONFLICT
    slug = "stale-attempt"


class LimitReached(ServiceError):
    """The tenant has as much as it may have."""

    # Not 429: trying again changes nothing until somebody makes room.
    status = HTTPStatus.CONFLICT
    slug = "limit-reached"


class TooManyRequests(ServiceError):
    """The API key makes too many requests."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    slug = "too-many-requests"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after_seconds)}
