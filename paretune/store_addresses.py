"""Where the environment says that the stores are, with the passwords of their files. Connects to nothing."""

import os
from pathlib import Path

from paretune.errors import ParetuneError


class SecretUnreadable(ParetuneError):
    """The file of a password cannot be read."""


def database_url() -> str | None:
    """Return DATABASE_URL with the password of DATABASE_PASSWORD_FILE; None if there is no DATABASE_URL.

    Raises:
        SecretUnreadable: If the file cannot be read, or is empty.
    """
    return _url("DATABASE")


def broker_url() -> str | None:
    """Return BROKER_URL with the password of BROKER_PASSWORD_FILE; None if there is no BROKER_URL.

    Raises:
        SecretUnreadable: If the file cannot be read, or is empty.
    """
    return _url("BROKER")


def _url(store: str) -> str | None:
    from service.settings import read_secret, with_password

    url, file = os.environ.get(f"{store}_URL"), os.environ.get(f"{store}_PASSWORD_FILE")
    if not url or not file:
        return url
    try:
        return with_password(url, read_secret(Path(file)))
    except ValueError as error:
        raise SecretUnreadable(str(error)) from error
