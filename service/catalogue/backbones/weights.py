"""Whether the tensors of a checkpoint are those that its configuration promises.

transformers would fill what is missing with random values, and leave out what it does not know, both with
no more than a line in a log. Counts of trained scalars follow from the sizes checked here.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from api_schemas.backbones import ROLES, BackboneShape, projections
from api_schemas.model_families import FAMILIES, LAYER_LISTS, LayerPaths, parts_of
from api_schemas.trial_configuration import Quantisation
from service.catalogue.backbones.files import StoredTensor
from service.catalogue.backbones.shapes import position_rows, vocabulary_size
from service.errors import DamagedBackbone

PREFIXES = frozenset({
    "bert", "roberta", "electra", "distilbert", "mpnet", "deberta", "transformer", "model",
})  # fmt: skip
"""What models with a head put in front of the names of the transformer inside."""
LAYER = re.compile(rf"(?:{'|'.join(map(re.escape, LAYER_LISTS))})\.(\d{{1,6}})\.(.+)")
EMBEDDING = re.compile(r"(?:embeddings\.word_embeddings|wte|(?:encoder\.)?embed_tokens|shared)\.weight")
POSITIONS = re.compile(r"(?:embeddings\.position_embeddings|wpe)\.weight")
OF_FIRST_LAYER_ONLY = "relative_attention_bias.weight"
WHOLE_NUMBERS = frozenset({"F64", "F32", "F16", "BF16"})
"""The number types of weights that are not quantised."""

Layers = dict[int, dict[str, StoredTensor]]


def check_weights(
    name: str,
    tensors: Mapping[str, StoredTensor],
    *,
    configuration: Mapping[str, Any],
    shape: BackboneShape,
    quantised: Quantisation | None,
) -> int:
    """Compare the tensors with the configuration, and give how many tokens the embedding knows.

    Raises:
        DamagedBackbone: If a part is missing or of another shape, or is quantised and nothing says so.
    """
    own = {_without_prefix(tensor): stored for tensor, stored in tensors.items()}
    layers: Layers = {}
    for tensor, stored in own.items():
        if found := LAYER.fullmatch(tensor):
            layers.setdefault(int(found[1]), {})[found[2]] = stored
    embedding = next((own[tensor] for tensor in sorted(own) if EMBEDDING.fullmatch(tensor)), None)
    if embedding is None:
        raise _unfit(name, "it has no embedding of tokens under a name of its family")
    present = [layer for layer in range(shape.layers) if layer in layers]
    all_quantised = quantised is not None and not _leaves_out(configuration)
    problems = chain(
        (f"layer {layer} is missing" for layer in range(shape.layers) if layer not in layers),
        (
            problem
            for layer in present
            for problem in _problems_of_layer(layers[layer], shape, quantised, layer=layer)
        ),
        (
            problem
            for layer in (present if all_quantised else [])
            for problem in _whole_ones(layers[layer], shape, quantised, layer=layer)
        ),
        _uneven_layers(layers, shape, quantised),
        _problems_of_tables(own, embedding, configuration=configuration, shape=shape, name=name),
    )
    for problem in problems:
        raise _unfit(name, problem)
    return embedding.shape[0]


def _unfit(name: str, problem: str) -> DamagedBackbone:
    return DamagedBackbone(
        f"The weights of '{name}' do not fit its config.json: {problem}. Get both files from the same place."
    )


def layer_of(tensor: str) -> int | None:
    """Return the number of the layer that a tensor of a checkpoint belongs to; None if it belongs to none."""
    found = LAYER.fullmatch(_without_prefix(tensor))
    return int(found[1]) if found else None


def _without_prefix(tensor: str) -> str:
    first, _, rest = tensor.partition(".")
    return rest if first in PREFIXES and not LAYER.fullmatch(tensor) else tensor


def _problems_of_layer(
    layer_tensors: Mapping[str, StoredTensor],
    shape: BackboneShape,
    quantised: Quantisation | None,
    *,
    layer: int,
) -> Iterator[str]:
    paths = _paths_of(layer_tensors, shape)
    for role in ROLES:
        tensor = f"{getattr(paths, role)}.weight"
        stored = layer_tensors.get(tensor)
        if stored is None:
            yield f"layer {layer} has no '{tensor}'"
            continue
        expected = _expected(role, paths, shape)
        if f"{tensor}.absmax" in layer_tensors and 1 in stored.shape:
            if quantised is not Quantisation.FOUR_BIT:
                yield f"'{tensor}' of layer {layer} is packed in 4 bits, and no quantization_config says so"
            elif 2 * stored.size_bytes != expected[0] * expected[1]:
                yield f"'{tensor}' of layer {layer} is not {_times(expected)} numbers in 4 bits"
        elif stored.dtype == "I8" and quantised is Quantisation.EIGHT_BIT:
            # bitsandbytes keeps them as (outputs, inputs) in every family.
            if set(stored.shape) != set(expected) or len(stored.shape) != 2:
                yield f"'{tensor}' of layer {layer} is {_times(stored.shape)}, not {_times(expected)}"
        elif stored.shape != expected:
            yield f"'{tensor}' of layer {layer} is {_times(stored.shape)} and should be {_times(expected)}"
        elif stored.dtype not in WHOLE_NUMBERS:
            yield f"'{tensor}' of layer {layer} is in {stored.dtype}, and nothing says how to read that"


def _whole_ones(
    layer_tensors: Mapping[str, StoredTensor],
    shape: BackboneShape,
    quantised: Quantisation | None,
    *,
    layer: int,
) -> Iterator[str]:
    """Name weights that are whole although the configuration says that all are quantised."""
    for role in ROLES:
        tensor = f"{getattr(_paths_of(layer_tensors, shape), role)}.weight"
        stored = layer_tensors.get(tensor)
        if stored is not None and stored.dtype in WHOLE_NUMBERS and 1 not in stored.shape:
            yield (
                f"'{tensor}' of layer {layer} is whole, and quantization_config says that it is in "
                f"{quantised}; take that entry out of config.json if all weights are whole"
            )


def _leaves_out(configuration: Mapping[str, Any]) -> bool:
    given = configuration.get("quantization_config")
    return isinstance(given, Mapping) and bool(given.get("llm_int8_skip_modules"))


def _paths_of(layer_tensors: Mapping[str, StoredTensor], shape: BackboneShape) -> LayerPaths:
    rows = FAMILIES[shape.model_type].layer
    return next((row for row in rows if _has_all(layer_tensors, row)), rows[0])


def _has_all(layer_tensors: Mapping[str, StoredTensor], paths: LayerPaths) -> bool:
    return all(any(tensor.startswith(f"{path}.") for tensor in layer_tensors) for path in parts_of(paths))


def _expected(role: str, paths: LayerPaths, shape: BackboneShape) -> tuple[int, int]:
    """Return the shape of the weight of a role's module, as the file should have it."""
    projection = projections(shape)[role]
    modules = len(paths.fused) if role in paths.fused else 1
    outputs = projection.outputs * modules
    if FAMILIES[shape.model_type].is_conv1d:
        return projection.inputs, outputs
    return outputs, projection.inputs


def _uneven_layers(layers: Layers, shape: BackboneShape, quantised: Quantisation | None) -> Iterator[str]:
    """Name a layer that is built otherwise than the first."""

    def built(layer: int) -> dict[str, object]:
        return {
            tensor: None if quantised else stored.shape
            for tensor, stored in layers.get(layer, {}).items()
            if tensor.endswith((".weight", ".bias")) and not tensor.endswith(OF_FIRST_LAYER_ONLY)
        }

    first = built(0)
    for layer in range(1, shape.layers):
        other = built(layer)
        different = sorted(
            tensor for tensor in first.keys() | other.keys() if first.get(tensor, 0) != other.get(tensor, 0)
        )
        if different:
            yield f"layers 0 and {layer} differ in '{different[0]}'"


def _problems_of_tables(
    own: Mapping[str, StoredTensor],
    embedding: StoredTensor,
    *,
    configuration: Mapping[str, Any],
    shape: BackboneShape,
    name: str,
) -> Iterator[str]:
    rows = vocabulary_size(configuration, name=name) or embedding.shape[0]
    if embedding.dtype not in WHOLE_NUMBERS:
        yield f"the embedding is in {embedding.dtype}, and nothing says how to read that"
    if embedding.shape != (rows, shape.embedding_width):
        expected = (rows, shape.embedding_width)
        yield f"the embedding is {_times(embedding.shape)} and should be {_times(expected)}"
    for tensor, stored in own.items():
        if POSITIONS.fullmatch(tensor):
            if stored.dtype not in WHOLE_NUMBERS:
                yield f"'{tensor}' is in {stored.dtype}, and nothing says how to read that"
            expected = (position_rows(configuration, name=name), shape.embedding_width)
            if stored.shape != expected:
                yield f"'{tensor}' is {_times(stored.shape)} and should be {_times(expected)}"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{width:,}" for width in shape) or "one number"
