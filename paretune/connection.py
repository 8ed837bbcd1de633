"""Which server a command talks to, and with which key. Sends nothing to it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paretune.client import Client
from paretune.console import note, working
from paretune.errors import KeyMissing, NoServer


@contextmanager
def server(state_dir: Path | None, trial_workers: int | None) -> Iterator[tuple[Client, Callable[[], None]]]:
    """Use the server on a given state directory, else that at PARETUNE_URL; start one where none is.

    Gives a client, and what raises an error that ended the supervision of a server started here.
    """
    found = known_server(state_dir)
    if found is not None:
        url, key = found
        if trial_workers:
            note(
                f"--trial-workers has no effect: a server runs already at {url}, with workers of its own. "
                "For more, run `paretune workers` beside it, or stop it and start "
                f"`paretune up --trial-workers {trial_workers}`."
            )
        with Client(url, api_key=key) as client:
            yield client, lambda: None
        return
    from paretune.local import running_stack
    from paretune.state_directory import default_state_dir
    from paretune.supervision import supervised

    with ExitStack() as stack_of:
        with working("Starting a server") as step:
            directory = state_dir or default_state_dir()
            stack = stack_of.enter_context(
                running_stack(directory, trial_workers=trial_workers, say=note, step=step)
            )
        check = stack_of.enter_context(supervised(stack))
        yield stack_of.enter_context(Client(stack.url, api_key=stack.api_key)), check


@contextmanager
def server_that_runs(state_dir: Path | None) -> Iterator[Client]:
    """Use a server that runs already: reading starts none.

    Raises:
        KeyMissing: If there is an address without a key.
        NoServer: If there is none; the message says how to start one.
    """
    url, key = running_server(state_dir)
    with Client(url, api_key=key) as client:
        yield client


def known_server(state_dir: Path | None) -> tuple[str, str] | None:
    """Return address and key of the server on a given state directory, or at PARETUNE_URL, or None.

    Raises:
        KeyMissing: If there is an address without a key.
        NoServer: If there is no address, and this installation has no server of its own.
    """
    url = os.environ.get("PARETUNE_URL")
    if url and state_dir is None:
        key = os.environ.get("PARETUNE_API_KEY")
        if not key:
            raise KeyMissing(
                "PARETUNE_URL is set and PARETUNE_API_KEY is not. Set it to a key of that server."
            )
        return url, key
    try:
        from paretune.local import server_in_use
        from paretune.state_directory import default_state_dir
    except ModuleNotFoundError as error:
        raise NoServer(
            "Set PARETUNE_URL and PARETUNE_API_KEY to those of a server, or install one here: "
            "pip install 'paretune[all]'."
        ) from error
    return server_in_use(state_dir or default_state_dir())


def running_server(state_dir: Path | None) -> tuple[str, str]:
    """Return address and key of a server that runs whether or not this command does.

    Raises:
        KeyMissing: If there is an address without a key.
        NoServer: If there is none.
    """
    found = known_server(state_dir)
    if found is None:
        raise NoServer(
            "No Paretune server runs here, and this command starts none. Start one with `paretune up` in "
            "another terminal, or set PARETUNE_URL and PARETUNE_API_KEY to those of another one."
        )
    return found
