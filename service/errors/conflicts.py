"""Refusals of a change that what is there already leaves no place for. Their tree is in `errors`."""

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


class InsufficientStorage(ServiceError):
    """The server's disk is full.

    Nothing was kept of the request. The operator makes room, on the disk of `PARETUNE_DATA_DIR` or of the
    hub's cache; `/readyz` tells of it. Then try again.
    """

    status = HTTPStatus.INSUFFICIENT_STORAGE
    slug = "insufficient-storage"
