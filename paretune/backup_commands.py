"""`paretune backup` and `restore`: for the operator, where the server's database and folders are."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paretune.command_groups import ADMINISTRATION
from paretune.command_options import OwnStateDir, Yes
from paretune.console import insist, say, working
from paretune.errors import ParetuneError

if TYPE_CHECKING:
    from paretune.backup import Places

app = typer.Typer()


class ServerRuns(ParetuneError):
    """A server uses the database that is to be replaced."""


class NothingThere(ParetuneError):
    """It is not known where the server keeps what is to be backed up."""


@app.command(rich_help_panel=ADMINISTRATION)
def backup(
    output: Annotated[
        Path | None, typer.Argument(help="The tar file to write; paretune-DATE.tar here if left out.")
    ] = None,
    state_dir: OwnStateDir = None,
) -> None:
    """Write database, artifacts and uploads into one file; studies may run."""
    from paretune.backup import back_up

    target = output or Path(f"paretune-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar")
    with _database(state_dir, new=False) as url, working("Writing the backup"):
        counts = back_up(_places(url, state_dir), target)
    say(f"Wrote {target}: {target.stat().st_size:,} bytes, {_counted(counts)}.")
    say("It holds what keys are checked with and the secrets of webhooks: keep it to yourself.")


@app.command(rich_help_panel=ADMINISTRATION)
def restore(
    file: Annotated[Path, typer.Argument(help="What `paretune backup` has written.")],
    yes: Yes = False,
    state_dir: OwnStateDir = None,
) -> None:
    """Put a backup in the place of everything that a server has; stop that server before."""
    from paretune.backup import bring_back, holds_something, keeps_tables_of_before, read_manifest
    from paretune.backup import restore as put_back

    manifest = read_manifest(file)
    with _database(state_dir, new=True) as url:
        if bring_back(url):
            say("A restore was cut off here. What the server had before it is back.")
        elif keeps_tables_of_before(url):
            say(
                "A restore ended well here, and was cut off before it dropped the tables of before it. "
                "They are in the schema before_restore, and this restore drops them."
            )
        if holds_something(url) and not yes:
            say(f"The backup is from {manifest['made_at']}, by Paretune {manifest['paretune']}.")
            insist("Replace every study, trial and key that the server has now by those of the backup?")
        with working("Restoring the backup"):
            counts = put_back(_places(url, state_dir), file)
    say(f"Restored the database, {_counted(counts)}.")
    say("Next: `paretune up`, or `paretune migrate` with the server's variables: it makes its own key known.")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} files of {name}" for name, count in counts.items())


def _places(url: str, state_dir: Path | None) -> "Places":
    from paretune.backup import Places
    from paretune.local import places
    from paretune.state_directory import default_state_dir
    from paretune.store_addresses import database_url

    missing = {"PARETUNE_ARTIFACTS_URL", "PARETUNE_DATA_DIR"} - os.environ.keys()
    if database_url() is not None and missing:
        raise NothingThere(f"DATABASE_URL is set and not {' nor '.join(sorted(missing))}: set the server's.")
    named = places((state_dir or default_state_dir()).absolute())
    artifacts = named["PARETUNE_ARTIFACTS_URL"].removeprefix("file://")
    return Places(
        database_url=url,
        artifacts=None if "://" in artifacts else Path(artifacts),
        uploads=Path(named["PARETUNE_DATA_DIR"]) / "uploads",
    )


@contextmanager
def _database(state_dir: Path | None, *, new: bool) -> Iterator[str]:
    """Give the database of the environment, of the server that runs, or of one that does not and is started.

    With `new`, a directory that has none gets one, and one that a server uses is refused.
    """
    from paretune.local import DATABASE_URL_FILE, server_in_use
    from paretune.state_directory import default_state_dir
    from paretune.store_addresses import database_url

    named = database_url()
    if named is not None:
        yield named
        return
    directory = (state_dir or default_state_dir()).absolute()
    if server_in_use(directory) is not None:
        if new:
            raise ServerRuns(f"A server runs on {directory}. Stop it, and restore then.")
        yield (directory / DATABASE_URL_FILE).read_text(encoding="ascii")
        return
    if not new and not (directory / "postgres" / "data" / "PG_VERSION").is_file():
        raise NothingThere(f"There is no server's database in {directory}. Name another --state-dir.")
    with _started_alone(directory) as url:
        yield url


@contextmanager
def _started_alone(directory: Path) -> Iterator[str]:
    """Start the database of a state directory, without the rest of the server, for the length of a block."""
    from paretune.embedded_postgres import embedded_postgres
    from paretune.state_directory import check_not_newer, locked, writable

    writable(directory)
    check_not_newer(directory)
    with ExitStack() as exits:
        exits.enter_context(locked(directory))
        with working("Starting the database"):
            url = exits.enter_context(embedded_postgres(directory / "postgres"))
        yield url
