"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

StudyReference = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="Its id, a unique beginning of that, its display name, or 'latest'."
    ),
]
StateDir = Annotated[
    Path | None, typer.Option(envvar="PARETUNE_STATE_DIR", help="Where the embedded server keeps everything.")
]
TrialWorkers = Annotated[int, typer.Option(min=1, max=64, help="Trial workers to start.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that holds something, over it.")]
Output = Annotated[Path, typer.Option(help="Where results are written.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
