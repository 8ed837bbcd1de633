"""Refusals of a change that what is there already leaves no place for. Their tree is in `errors`."""

from http import HTTPStatus

from service.errors import ServiceError


class ConflictingResult(ServiceError, status=HTTPStatus.CONFLICT):
    """The trial has another result, or is being run.

    Nothing was stored, and nothing is lost. The same result again is accepted and changes nothing. To replace
    one that was told wrongly, `POST /v1/studies/{study}/trials/{trial}:correct`; while a runner has the
    trial, let it complete, or wait until it has ended.
    """


class LastAdminKey(ServiceError, status=HTTPStatus.CONFLICT):
    """Without this key nobody of the tenant could make another.

    Make another key with the scope `admin` that does not expire first, then revoke this one.
    """


class TaskFileInUse(ServiceError, status=HTTPStatus.CONFLICT):
    """A study that has not ended trains on this file.

    The answer names the study. Cancel it or wait until it ends; or upload under another name.
    """


class InsufficientStorage(ServiceError, status=HTTPStatus.INSUFFICIENT_STORAGE):
    """The server's disk is full.

    Nothing was kept of the request. The operator makes room, on the disk of `PARETUNE_DATA_DIR` or of the
    hub's cache; `/readyz` tells of it. Then try again.
    """
