"""Options that many commands share."""

import os
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from paretune.client import Client
from paretune.connection import running_server
from paretune.errors import ParetuneError
from paretune.study_reference import LATEST

COMPLETION_SECONDS = 1.0
MOST_COMPLETED = 50


def studies_beginning(incomplete: str) -> list[str]:
    """Return what a shell may complete a study to: names and ids of a server that runs, and `latest`."""
    names = [LATEST]
    try:
        url, key = running_server(None)
        with Client(url, api_key=key, timeout_seconds=COMPLETION_SECONDS) as client:
            for study in islice(client.studies(), MOST_COMPLETED):
                names += [study.display_name, study.id]
    except ParetuneError:
        pass  # a shell that completes is no place for an error
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


StudyReference = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Its id, a unique beginning of that, its display name, or 'latest'.",
        autocompletion=studies_beginning,
    ),
]


def unless_an_address_is_set(
    context: typer.Context, parameter: typer.CallbackParam, given: Path | None
) -> Path | None:
    """Return a state directory; None if it is the environment's and so is the address of a server.

    Of two variables the address is the nearer; what is said on the command line wins over both.
    """
    source = context.get_parameter_source(parameter.name or "")
    # By its name, for Typer's releases take the enumeration from different packages.
    said_here = source is not None and source.name == "COMMANDLINE"
    return given if said_here or not os.environ.get("PARETUNE_URL") else None


StateDir = Annotated[
    Path | None,
    typer.Option(
        envvar="PARETUNE_STATE_DIR",
        callback=unless_an_address_is_set,
        help="Where the embedded server keeps everything; given here, it wins over PARETUNE_URL.",
    ),
]
OwnStateDir = Annotated[
    Path | None, typer.Option(envvar="PARETUNE_STATE_DIR", help="Where the embedded server keeps everything.")
]
"""For commands that never go to an address."""
TrialWorkers = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Trial workers to start; left out: one for each GPU, 2 on a CPU."),
]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that holds something, over it.")]
Output = Annotated[Path, typer.Option(help="Where results are written.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
