"""Options that many commands share."""

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
StateDir = Annotated[
    Path | None, typer.Option(envvar="PARETUNE_STATE_DIR", help="Where the embedded server keeps everything.")
]
TrialWorkers = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Trial workers to start; left out: one for each GPU, 2 on a CPU."),
]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that holds something, over it.")]
Output = Annotated[Path, typer.Option(help="Where results are written.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
