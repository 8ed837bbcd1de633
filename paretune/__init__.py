"""What a person touches: the Python client, the command line and the one-machine supervisor."""

from pathlib import Path
from typing import TYPE_CHECKING

from paretune.local_backbones import models_dir

if TYPE_CHECKING:
    from torch import nn

    from workers.saving.artifacts import Classifier


def load_classifier(folder: Path | str) -> "Classifier":
    """Load an exported trial: backbone, trained modules and head, ready to predict.

    `PARETUNE_MODELS_DIR` says where a local backbone is.

    Raises:
        workers.errors.ArtifactError: If a file is missing, damaged, or does not fit the others.
        service.errors.UnknownBackbone: If the backbone cannot be found.
    """
    # torch loads only for those who predict, not for every client.
    from workers.saving.artifacts import load_classifier as load

    return load(Path(folder), models_dir=models_dir())


def load_network(folder: Path | str) -> "nn.Module":
    """Load a merged trial whose layers have several widths, which plain transformers cannot open.

    Raises:
        workers.errors.ArtifactError: If a file is missing, or anything but what an export writes.
    """
    from workers.saving.grouped_format import load_grouped

    return load_grouped(Path(folder))
