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
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
