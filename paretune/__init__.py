"""What a person touches: the Python client, the command line and the one-machine supervisor."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.artifacts import Classifier


def load_classifier(folder: Path | str) -> "Classifier":
    """Load an exported trial: backbone, trained modules and head, ready to predict."""
    # torch loads only for those who predict, not for every client.
    from workers.artifacts import load_classifier as load

    return load(Path(folder))
