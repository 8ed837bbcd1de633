"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

StateDir = Annotated[
    Path | None,
    typer.Option(envvar="PARETUNE_STATE_DIR", help="Where the embedded server keeps everything."),
]
