"""Commands that start servers: the whole one, its schema, and the one for language models."""

import sys
from typing import Annotated

import typer

from paretune.command_groups import SERVER
from paretune.command_options import OwnStateDir, StateDir, TrialWorkers
from paretune.connection import running_server
from paretune.console import agreed, note, say
from paretune.errors import McpMissing, ParetuneError
from paretune.ports import PortTaken, listening_port

app = typer.Typer()

StudyWorkers = Annotated[
    int, typer.Option(min=1, max=64, help="Study workers to start: more let more studies propose at once.")
]


@app.command(rich_help_panel=SERVER)
def up(
    state_dir: OwnStateDir = None,
    trial_workers: TrialWorkers = None,
    study_workers: StudyWorkers = 1,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Start the server with everything it needs, and keep it running until Ctrl-C."""
    from paretune.local import serve
    from paretune.state_directory import default_state_dir

    try:
        listening_port(host, port)
    except PortTaken as taken:
        if taken.free is None or not sys.stdin.isatty():
            raise
        say(str(taken))
        if not agreed(f"Listen on port {taken.free} in its place?", by_default=True):
            raise
        port = taken.free
    serve(
        state_dir or default_state_dir(),
        trial_workers=trial_workers,
        study_workers=study_workers,
        host=host,
        port=port,
        say=say,
    )


@app.command(rich_help_panel=SERVER)
def workers(
    name: Annotated[
        str, typer.Option(help="What their names begin with; those of one host must differ.")
    ] = "trials",
) -> None:
    """Run a trial worker on each visible GPU for a server elsewhere, until SIGTERM or Ctrl-C."""
    from paretune.box_workers import run_trial_workers

    run_trial_workers(name, say=say)


@app.command(rich_help_panel=SERVER)
def migrate() -> None:
    """Bring the database to this version's schema, and register PARETUNE_API_KEY if it is set.

    A database server that is still starting is waited for, for a minute.
    """
    from sqlalchemy.exc import OperationalError

    from service.access.tenants import register_key, weakness
    from service.settings import settings
    from service.storage.database import engine, is_away, transaction
    from service.storage.schema_version import RestoreCutOff, SchemaInUse, SchemaNewer, upgrade
    from service.storage.starting_server import wait_for_server

    key = settings().bootstrap_api_key
    if key is not None and (reason := weakness(key.get_secret_value())):
        raise ParetuneError(reason)
    wait_for_server(settings().database_url.get_secret_value(), say=note)
    try:
        upgrade(engine())
    except (RestoreCutOff, SchemaInUse, SchemaNewer) as error:
        raise ParetuneError(str(error)) from error
    except OperationalError as error:
        if not is_away(error):
            raise
        raise ParetuneError(
            f"The database lets nobody in, and nothing has changed: {error.orig} Start it, or correct "
            "DATABASE_URL and its password, and run `paretune migrate` again."
        ) from error
    if key is not None:
        with transaction() as session:
            registered = register_key(session, key.get_secret_value())
            if registered.revoked_at is not None:
                say(f"PARETUNE_API_KEY is the key {registered.id}, which was revoked. Set another one.")


@app.command(rich_help_panel=SERVER)
def mcp(state_dir: StateDir = None) -> None:
    """Let a language model use the server: speak the Model Context Protocol on stdin and stdout."""
    try:
        from paretune.mcp_server.server import serve
    except ModuleNotFoundError as error:
        raise McpMissing("This needs the SDK of the protocol: pip install 'paretune[mcp]'.") from error
    serve(lambda: running_server(state_dir))
