"""Errors of changes that conflict with existing data. The whole tree is in `errors`."""

from http import HTTPStatus

from service.errors import ServiceError


class ConflictingResult(ServiceError, status=HTTPStatus.CONFLICT):
    """The trial has another result, or is being run.

    Nothing was stored, and nothing is lost. Sending the same result again changes nothing. To replace a wrong
    result, use `POST /v1/studies/{study}/trials/{trial}:correct`; while a runner has the trial, let it
    complete, or wait until it has ended.
    """


class LastAdminKey(ServiceError, status=HTTPStatus.CONFLICT):
    """Without this key nobody of the tenant could make another.

    First create another key with the scope `admin` that does not expire, then revoke this one.
    """


class TaskFileInUse(ServiceError, status=HTTPStatus.CONFLICT):
    """A study that has not ended trains on this file.

    The answer names the study. Cancel it, wait until it ends, or upload the file under another name.
    """


class TaskFileChanged(ServiceError, status=HTTPStatus.CONFLICT):
    """The file that the study trains on is not what it was.

    Its trials would all end INFEASIBLE, so none was started. Bring the file back as it was when the study was
    posted, under its name, and try again; or clone the study, to search on the rows that the file has now.
    """


class InsufficientStorage(ServiceError, status=HTTPStatus.INSUFFICIENT_STORAGE):
    """The server's disk is full.

    Nothing of the request was kept. The operator must free space on the disk of `PARETUNE_DATA_DIR` or of the
    hub's cache, which `/readyz` reports. Then try again.
    """
