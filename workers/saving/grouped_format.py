"""A transformer with feed-forward blocks of several widths, which no plain configuration describes.

Two files: `network.json` with the family's configuration and the width of each layer, and its tensors in
`network.safetensors`. The loader builds the family's own class and makes its blocks narrower: no code comes
with the files, and whatever does not fit them exactly is refused.
"""

import json
from pathlib import Path
from typing import Any, Literal

import transformers
from pydantic import Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from api_schemas.base import Schema
from api_schemas.model_families import FAMILIES
from service.catalogue.backbones.shapes import shape_from_configuration
from workers.architecture.extraction import narrow
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import layer_list_of, model_class, paths_of
from workers.errors import ArtifactError

NETWORK = "network.json"
TENSORS = "network.safetensors"


class GroupedNetwork(Schema):
    """The content of `network.json`. `transformers` is the family's configuration."""

    format: Literal["paretune-widths-by-layer"] = "paretune-widths-by-layer"
    version: Literal[1] = 1
    transformers: dict[str, JsonValue]
    ffn_widths: tuple[int, ...] = Field(min_length=1)


def write_grouped(model: nn.Module, folder: Path, *, sub_network: SubNetwork) -> None:
    """Write a network with the layers of a sub-network; it is in float32, as everything that is merged."""
    configuration: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))  # type: ignore[union-attr,operator]
    widest = _widest(configuration)
    network = GroupedNetwork(
        transformers=configuration, ffn_widths=tuple(width or widest for width in sub_network.widths)
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_model(_without_pooler(model), str(folder / TENSORS))
    (folder / NETWORK).write_text(network.model_dump_json(indent=2) + "\n", encoding="utf-8")


def is_grouped(folder: Path) -> bool:
    """Return whether a folder holds such a network."""
    return (folder / NETWORK).is_file()


def load_grouped(folder: Path, *, attention: str | None = None) -> nn.Module:
    """Load a network that `write_grouped` wrote, ready to predict.

    `attention` is the implementation of transformers to compute it with; None for the family's usual one.

    Raises:
        ArtifactError: If a file is missing, says anything else, or does not fit the other.
    """
    network = _read(folder / NETWORK)
    try:
        model = _built(network, attention=attention)
        load_model(model, str(folder / TENSORS), strict=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, LookupError) as error:
        raise ArtifactError(
            f"{folder} does not hold the network that {NETWORK} describes: {error}"
        ) from error
    return model.requires_grad_(requires_grad=False).eval()


def _read(file: Path) -> GroupedNetwork:
    try:
        network = GroupedNetwork.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: is it of a merged trial of several widths?") from error
    except ValidationError as error:
        raise ArtifactError(f"{file} is damaged, or of another version of Paretune: {error}") from error
    family = network.transformers.get("model_type")
    if family not in FAMILIES:
        raise ArtifactError(f"{file} names the family {family!r}, which is none of {', '.join(FAMILIES)}.")
    if "auto_map" in network.transformers:
        raise ArtifactError(f"{file} asks for code of its own ('auto_map'), which is never run.")
    return network


def _built(network: GroupedNetwork, *, attention: str | None) -> nn.Module:
    """Return a network of these sizes with whatever weights the family begins with."""
    given = dict(network.transformers)
    family = str(given.pop("model_type"))
    configuration = transformers.AutoConfig.for_model(family, **given)
    build = model_class(family)
    how = {} if attention is None else {"attn_implementation": attention}
    make = getattr(build, "from_config", getattr(build, "_from_config", None))
    assert make is not None  # noqa: S101  every class of transformers has one of the two
    model: nn.Module = _without_pooler(make(configuration, **how))
    layers, widest = layer_list_of(model), _widest(network.transformers)
    if len(layers) != len(network.ffn_widths) or not all(0 < width <= widest for width in network.ffn_widths):
        raise ValueError(f"its {len(layers)} layers need a width each, of at most {widest}")
    paths = paths_of(layers[0], family=family)
    for layer, width in zip(layers, network.ffn_widths, strict=True):
        narrow(layer, range(width), paths=paths)
    return model


def _widest(configuration: dict[str, Any]) -> int:
    return shape_from_configuration(configuration).ffn_size


def _without_pooler(model: nn.Module) -> nn.Module:
    """Take away what nothing here reads."""
    if getattr(model, "pooler", None) is not None:
        model._modules["pooler"] = None
    return model
