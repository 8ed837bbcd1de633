"""Where local backbones lie on the machine that loads a trial. Loads nothing."""

import os
from pathlib import Path


def models_dir() -> Path | None:
    """Return the folder that `PARETUNE_MODELS_DIR` names, as for a server; None without it."""
    named = os.environ.get("PARETUNE_MODELS_DIR")
    return Path(named) if named else None
