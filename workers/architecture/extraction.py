"""A sub-network as a smaller dense network of the same family. Knows no trial and no importance.

What is left is a plain transformer: its configuration says how many layers and units it has, and
transformers loads what it saves. Weights that are kept whole are shared with the backbone, which is frozen.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from api_schemas.model_families import LayerPaths
from service.catalogue.backbones.shapes import FFN_SIZE, shape_from_configuration
from workers.architecture.heads import cut_heads, describe_heads, head_refusals
from workers.architecture.projections import frozen, is_part, keep_parts, unit_rows
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import Backbone, freeze, layer_list_of
from workers.errors import UnsupportedBackbone

GPT2_FFN_SIZE = "n_inner"
"""The one entry for this size that a configuration may leave empty."""


def extracted(
    backbone: Backbone, sub_network: SubNetwork, *, refitted: Mapping[str, Tensor] | None = None
) -> Backbone:
    """Return the sub-network as a backbone of its own, whose layers are numbered from 0.

    `refitted` are weights that its narrower blocks get in place of those that were there
    (`workers.architecture.refitting`).

    Raises:
        UnsupportedBackbone: If this backbone cannot be cut so.
    """
    refuse_what_cannot_be_cut(backbone, sub_network)
    model = cut(backbone.model, sub_network, paths=backbone.paths, refitted=refitted)
    smaller = freeze(model, backbone.tokenizer, name=backbone.name, device=backbone.device)
    return replace(smaller, sub_network=sub_network, refitted=refitted or {})


def cut(
    model: nn.Module,
    sub_network: SubNetwork,
    *,
    paths: LayerPaths,
    refitted: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Return a copy of a transformer with some of its layers and units; weights kept whole are shared."""
    configuration: Any = copy.deepcopy(model.config)
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    memo[id(model.config)] = configuration
    for number, layer in enumerate(layer_list_of(model)):
        if number not in sub_network.layers:
            memo[id(layer)] = nn.Identity()
    smaller = copy.deepcopy(model, memo)
    layers = layer_list_of(smaller)
    kept = [layers[number] for number in sub_network.layers]
    layers._modules = {str(place): layer for place, layer in enumerate(kept)}
    for place, (layer, units) in enumerate(zip(kept, sub_network.ffn_units, strict=True)):
        _number(layer, place)
        if units is not None:
            narrow(layer, units, paths=paths)
        if sub_network.heads is not None:
            cut_heads(layer, sub_network.heads[place], paths=paths, configuration=configuration)
        _refit(layer.get_submodule(paths.ffn_out), place, refitted or {})
    _describe(configuration, sub_network)
    return smaller


def refuse_what_cannot_be_cut(backbone: Backbone, sub_network: SubNetwork) -> None:
    """Refuse a sub-network that is none of this backbone, or that no plain configuration describes.

    Raises:
        UnsupportedBackbone: With the reason.
    """
    configuration = backbone.model.config.to_dict()  # type: ignore[union-attr,operator]  # ships no types
    layers, count = sub_network.layers, len(backbone.layers)
    drops_layers = len(layers) < count
    refusals = {
        "its weights are quantised: take the whole weights": getattr(backbone.model, "is_quantized", False),
        f"it has {count} layers and {backbone.shape.ffn_size} units, and at least one of each must stay": (
            not is_part(layers, of=count)
            or any(
                units is not None and not is_part(units, of=backbone.shape.ffn_size)
                for units in sub_network.ffn_units
            )
        ),
        "its first layer holds the position bias of all": (
            configuration["model_type"] == "t5" and layers[:1] != (0,)
        ),
        "a convolution beside its layers belongs to all of them": (
            drops_layers and bool(configuration.get("conv_kernel_size"))
        ),
        "its attention is scaled by the number of the layer": (
            drops_layers and bool(configuration.get("scale_attn_by_inverse_layer_idx"))
        ),
        **head_refusals(backbone.model.config, sub_network.heads),
    }
    for reason, holds in refusals.items():
        if holds:
            raise UnsupportedBackbone(f"'{backbone.name}' cannot be cut so: {reason}.")


def narrow(layer: nn.Module, units: Sequence[int], *, paths: LayerPaths) -> None:
    """Keep some units of a layer's feed-forward block: its projections get smaller weights."""
    for path in (paths.ffn_in, paths.ffn_gate):
        if path is not None:
            keep_parts(layer.get_submodule(path), units, reads=False)
    keep_parts(layer.get_submodule(paths.ffn_out), units, reads=True)


def _refit(reader: nn.Module, place: int, refitted: Mapping[str, Tensor]) -> None:
    """Replace the weights of what reads a block's units by those that were found for it, if any were."""
    for name in ("weight", "bias"):
        found = refitted.get(f"{place}.{name}")
        if found is not None:
            present = reader.get_parameter(name)
            is_transposed = name == "weight" and unit_rows(reader, reads=True) is present
            fitted = (found.T if is_transposed else found).to(present.device, present.dtype)
            setattr(reader, name, frozen(fitted))


def _number(layer: nn.Module, place: int) -> None:
    """Tell a layer its new number, by which attention finds its part of a key-value cache."""
    for part in layer.modules():
        if "layer_idx" in vars(part):
            vars(part)["layer_idx"] = place


def _describe(configuration: Any, sub_network: SubNetwork) -> None:
    """Write the sizes of a sub-network into its configuration, which must fit its weights."""
    kinds = getattr(configuration, "layer_types", None)
    configuration.num_hidden_layers = len(sub_network.layers)
    if kinds is not None:
        configuration.layer_types = [kinds[number] for number in sub_network.layers]
    if any(width is not None for width in sub_network.widths):
        given = configuration.to_dict()
        entry = next((name for name in FFN_SIZE if given.get(name) is not None), GPT2_FFN_SIZE)
        # Of several widths it says the largest; `workers.saving.grouped_format` writes them all.
        whole = shape_from_configuration(given).ffn_size
        setattr(configuration, entry, max(width or whole for width in sub_network.widths))
    if sub_network.heads is not None:
        describe_heads(configuration, len(sub_network.heads[0]))
