"""Open what Optuna keeps its studies in. Knows nothing of Paretune's studies."""

from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from paretune.errors import BridgeError

UNREADABLE = (ImportError, OSError, RuntimeError, SQLAlchemyError, StorageInternalError, ValueError)
SHOWN_NAMES = 5


def open_storage(storage: str | BaseStorage, *, must_exist: bool) -> BaseStorage:
    """Open a storage: the URL of a database or of Redis, or the path of a journal file.

    Raises:
        BridgeError: If there is no such file and there must be one, or Optuna cannot open it.
    """
    if isinstance(storage, BaseStorage):
        return storage
    try:
        file = _file(storage)
        if must_exist and file is not None and not file.exists():
            raise BridgeError(f"There is no file {file}.")
        if storage.startswith("redis"):
            return JournalStorage(JournalRedisBackend(storage))
        return RDBStorage(storage) if "://" in storage else JournalStorage(JournalFileBackend(storage))
    except UNREADABLE as error:
        raise _unreadable(storage, error) from error


def read_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Read a study by its name.

    Raises:
        BridgeError: If the storage has no such study; the message names those that it has.
    """
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        names = sorted(optuna.get_all_study_names(storage))
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        shown = ", ".join(map(repr, names[:SHOWN_NAMES])) + more
        there = f"It has {shown}." if names else "It has none at all."
        raise BridgeError(f"The storage has no study {name!r}. {there}") from error


def _file(storage: str) -> Path | None:
    """Return the file that a storage is kept in, if it is one."""
    if "://" not in storage:
        return Path(storage)
    if not storage.startswith("sqlite"):
        return None
    database = make_url(storage).database
    return None if database in (None, "", ":memory:") else Path(str(database))


def _unreadable(storage: str, error: Exception) -> BridgeError:
    # What goes wrong with a database may name its address, and that may hold a password.
    what = f"The storage at {storage.split('://')[0]}://..." if "://" in storage else storage
    lines = str(error).splitlines()
    why = "" if "://" in storage and storage in str(error) else f" {lines[0] if lines else ''}"
    return BridgeError(
        f"{what} cannot be opened ({type(error).__name__}).{why}\n"
        "Name a database by its URL (sqlite:///study.db) and a journal by its path."
    )
