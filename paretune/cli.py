"""The `paretune` command: its commands in groups, and what became of one that went wrong."""

from importlib.metadata import version
from typing import Annotated

import typer

from paretune import (
    admin_commands,
    backup_commands,
    bridge_commands,
    data_commands,
    log_commands,
    operator_commands,
    result_commands,
    server_commands,
    steering_commands,
    study_commands,
)
from paretune.command_groups import ADMINISTRATION, GroupedCommands
from paretune.console import complain, say
from paretune.errors import ParetuneError
from paretune.file_errors import FileUnusable, as_sentence

app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    rich_markup_mode=None,  # what a user wrote may stand in its messages
    pretty_exceptions_enable=False,  # its frames show local variables, and those hold passwords
)
for group in (
    study_commands,
    steering_commands,
    result_commands,
    log_commands,
    data_commands,
    bridge_commands,
    server_commands,
    admin_commands,
    backup_commands,
):
    app.add_typer(group.app)
app.add_typer(operator_commands.keys, name="keys", rich_help_panel=ADMINISTRATION)
app.add_typer(operator_commands.tenants, name="tenants", rich_help_panel=ADMINISTRATION)


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"paretune {version('paretune')}")
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Search PEFT configurations: what to fine-tune of a model, at what cost."""


def main() -> None:
    """Run the command; print what went wrong in a sentence, without a traceback."""
    try:
        app()
    except ParetuneError as error:
        complain(error)
        raise SystemExit(1) from error
    except OSError as error:
        sentence = as_sentence(error)
        if sentence is None:
            raise
        complain(FileUnusable(sentence))
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
