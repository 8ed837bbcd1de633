"""What a checkpoint is, read once at the door for everybody who must know: admission, workers, exports.

Reads `config.json`, the tokenizer's files and the headers of the weights; loads no torch and no weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api_schemas.backbones import BackboneShape, WeightCounts
from api_schemas.trial_configuration import Quantisation
from service.catalogue.backbones.files import CONFIGURATION, check_names, json_object, stored_tensors
from service.catalogue.backbones.shapes import own_quantisation, shape_from_configuration
from service.catalogue.backbones.tokenizers import check_tokenizer
from service.catalogue.backbones.weight_counts import weight_counts
from service.catalogue.backbones.weights import check_weights
from service.errors import DamagedBackbone

ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Checkpoint:
    """The shape of a backbone, its scalars by place, and in how many bits its files keep the linear maps."""

    shape: BackboneShape
    quantised: Quantisation | None = None
    weights: WeightCounts | None = None


def read_configuration(name: str, configuration: Mapping[str, Any]) -> Checkpoint:
    """Read what a configuration file says.

    Raises:
        service.errors.UnknownBackbone: If nothing can be trained on it here; the sentence says why.
    """
    shape = shape_from_configuration(configuration, name=name)
    return Checkpoint(
        shape,
        own_quantisation(configuration, name=name),
        weight_counts(configuration, shape=shape, name=name),
    )


def read_checkpoint(name: str, folder: Path) -> Checkpoint:
    """Read what a folder says, and check that its files say the same.

    Raises:
        service.errors.UnknownBackbone: If nothing can be trained on its configuration here.
        service.errors.DamagedBackbone: If weights or tokenizer are missing, damaged or of another network.
    """
    configuration = json_object(name, folder / CONFIGURATION)
    found = read_configuration(name, configuration)
    names = [file.name for file in folder.iterdir()]
    check_names(name, names)
    if ADAPTER in names:
        # transformers would load the network that it names, and the adapter into it, in place of this one.
        raise DamagedBackbone(
            f"'{name}' holds an adapter of peft beside the weights ({ADAPTER}). Merge it and save the model "
            "alone, or take the adapter's files out."
        )
    rows = check_weights(
        name,
        stored_tensors(name, folder),
        configuration=configuration,
        shape=found.shape,
        quantised=found.quantised,
    )
    check_tokenizer(name, folder, rows=rows)
    return found
