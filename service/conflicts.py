"""Refusals of a change, for something that is there already stands in its way. Their tree is in `errors`."""

from http import HTTPStatus

from service.errors import ServiceError


class ConflictingResult(ServiceError):
    """The trial has another result, or is being run.

    Nothing was stored, and nothing is lost. The same result again is accepted and changes nothing. To replace
    one that was told wrongly, `POST /v1/studies/{study}/trials/{trial}:correct`; while a runner has the
    trial, let it complete, or wait until it has ended.
    """

    status = HTTPStatus.CONFLICT
    slug = "conflicting-result"


class LastAdminKey(ServiceError):
    """Without this key nobody of the tenant could make another.

    Make another key with the scope `admin` that does not expire first, then revoke this one.
    """

    status = HTTPStatus.CONFLICT
    slug = "last-admin-key"


class TaskFileInUse(ServiceError):
    """A study that has not ended trains on this file.

    The answer names the study. Cancel it or wait until it ends; or upload under another name.
    """

    status = HTTPStatus.CONFLICT
    slug = "task-file-in-use"
