"""What loads each family of transformers. Where they keep parts: `service.catalogue.backbones.families`."""

from collections.abc import Mapping
from typing import Any

from transformers import AutoModel, T5EncoderModel

MODEL_CLASSES: Mapping[str, Any] = {"t5": T5EncoderModel}
"""What loads a family of which a part is never used; everything else loads as `AutoModel` says."""


def model_class(family: str) -> Any:
    """Return what loads a family."""
    return MODEL_CLASSES.get(family, AutoModel)
