"""How many scalars the weights of a transformer have, from its configuration file alone.

For whoever trains the weights themselves: a study's known cost must be exact before anything is loaded.
What a file leaves out has the default of its family's configuration class in transformers 5.23. A test
counts the tensors of a model of each family.
"""

from collections.abc import Callable, Mapping
from typing import Any

from api_schemas.architecture import with_heads
from api_schemas.backbones import BackboneShape, HeadCounts, WeightCounts, projections
from api_schemas.model_families import FAMILIES
from service.catalogue.backbones.shapes import HEAD_SIZE, HEADS, position_rows, vocabulary_size

Configuration = Mapping[str, Any]

ENCODERS_WITH_TYPES = frozenset({"bert", "roberta", "xlm-roberta", "electra"})
GATED = frozenset({"llama", "mistral", "qwen2", "qwen3"})
HIDDEN_BY_A_FLAG = ("attention_bias", "mlp_bias")
"""Entries that give projections biases which their family usually lacks."""


def weight_counts(
    configuration: Configuration, *, shape: BackboneShape, name: str = "the model"
) -> WeightCounts | None:
    """Return the scalars below, in and above the layers; None where the file does not say enough."""
    vocabulary = vocabulary_size(configuration, name=name)
    family = shape.model_type
    if vocabulary is None or any(configuration.get(flag) for flag in HIDDEN_BY_A_FLAG):
        return None
    try:
        below = vocabulary * shape.embedding_width + BELOW[family](configuration, shape)
        each_layer = _layer(configuration, shape)
        narrower = _layer(configuration, shape.model_copy(update={"ffn_size": shape.ffn_size - 1}))
    except (TypeError, ValueError):  # an entry is no number
        return None
    # A norm with a bias is two vectors wherever the norms of the layers have one.
    vectors = (2 if FAMILIES[family].norm_biases else 1) if FAMILIES[family].final_norm else 0
    return WeightCounts(
        below=below,
        each_layer=each_layer,
        above=vectors * shape.hidden_size,
        each_ffn_unit=each_layer - narrower,
        heads=_head_counts(configuration, shape),
    )


def _head_counts(configuration: Configuration, shape: BackboneShape) -> HeadCounts | None:
    family = FAMILIES[shape.model_type]
    if family.head_size is None:
        return None
    heads = _heads(configuration)
    size = shape.query_size // heads
    fewer = with_heads(shape, heads - 1, size=size)
    shared = _number(configuration, "relative_attention_num_buckets", default=32)
    return HeadCounts(
        size=size,
        each_layer=_layer(configuration, shape) - _layer(configuration, fewer),
        below=shared if family.shares_position_bias else 0,
    )


def _layer(configuration: Configuration, shape: BackboneShape) -> int:
    family, found = FAMILIES[shape.model_type], projections(shape)
    weights = sum(projection.inputs * projection.outputs for projection in found.values())
    biases = sum(found[role].outputs for role in family.biased)
    if shape.model_type in GATED or _is_gated_t5(configuration, shape):
        weights += shape.hidden_size * shape.ffn_size
    norms = (family.norm_vectors or 2) * shape.hidden_size
    if shape.model_type == "qwen3":  # norms of queries and keys, as wide as a head
        norms += 2 * (_number(configuration, *HEAD_SIZE) or shape.query_size // _heads(configuration))
    return weights + biases + norms + _position_projections(configuration, shape)


def _encoder(configuration: Configuration, shape: BackboneShape) -> int:
    """Count positions, token types where there are some, a norm, and a map of narrow tokens."""
    width = shape.embedding_width
    types = _number(configuration, "type_vocab_size", default=2) if _has_types(shape) else 0
    tables = (_positions(configuration) + types) * width
    widening = 0 if width == shape.hidden_size else (width + 1) * shape.hidden_size
    return tables + 2 * width + widening


def _mpnet(configuration: Configuration, shape: BackboneShape) -> int:
    buckets = _number(configuration, "relative_attention_num_buckets", default=32)
    return _encoder(configuration, shape) + buckets * _heads(configuration)


def _t5(configuration: Configuration, _: BackboneShape) -> int:
    # The first layer holds the table for all of them, and is trained only with what lies below it.
    return _number(configuration, "relative_attention_num_buckets", default=32) * _heads(configuration)


def _gpt2(configuration: Configuration, shape: BackboneShape) -> int:
    return _positions(configuration) * shape.hidden_size


def _deberta(configuration: Configuration, shape: BackboneShape) -> int:
    width, hidden = shape.embedding_width, shape.hidden_size
    rows = _number(configuration, "type_vocab_size", default=0)
    if configuration.get("position_biased_input", True):
        rows += _positions(configuration)
    widening = 0 if width == hidden else width * hidden
    return rows * width + widening + 2 * hidden + _relative_positions(configuration, hidden)


def _relative_positions(configuration: Configuration, hidden: int) -> int:
    """Count DeBERTa's table of relative positions, its norm, and the convolution of some models."""
    counted = 0
    if configuration.get("relative_attention", False):
        reach = _number(configuration, "position_buckets", default=-1)
        if reach < 1:
            reach = _number(configuration, "max_relative_positions", default=-1)
        counted += 2 * (reach if reach >= 1 else _positions(configuration)) * hidden
        # transformers looks for the norm in a list of words, whatever else stands there.
        if "layer_norm" in str(configuration.get("norm_rel_ebd", "none")).lower().split("|"):
            counted += 2 * hidden
    kernel = _number(configuration, "conv_kernel_size", default=0)
    if kernel > 0:
        groups = _number(configuration, "conv_groups", default=1)
        counted += hidden * (hidden // groups) * kernel + hidden + 2 * hidden
    return counted


def _position_projections(configuration: Configuration, shape: BackboneShape) -> int:
    """Count DeBERTa's own projections of positions in one layer, which models of version 3 share."""
    if shape.model_type != "deberta-v2" or not configuration.get("relative_attention", False):
        return 0
    if configuration.get("share_att_key", False):
        return 0
    kinds = configuration.get("pos_att_type") or ()
    listed = kinds.lower().split("|") if isinstance(kinds, str) else [str(kind).lower() for kind in kinds]
    own = sum(kind.strip() in ("c2p", "p2c") for kind in listed)
    return own * (shape.hidden_size + 1) * shape.query_size


def _no_tables(_: Configuration, __: BackboneShape) -> int:
    return 0


BELOW: Mapping[str, Callable[[Configuration, BackboneShape], int]] = {
    **dict.fromkeys((*ENCODERS_WITH_TYPES, "distilbert"), _encoder),
    "mpnet": _mpnet,
    "deberta-v2": _deberta,
    "gpt2": _gpt2,
    **dict.fromkeys(GATED, _no_tables),
    "t5": _t5,
}
"""What lies below the layers, or is shared by them, besides the embedding of the tokens."""


def _has_types(shape: BackboneShape) -> bool:
    return shape.model_type in ENCODERS_WITH_TYPES


def _is_gated_t5(configuration: Configuration, shape: BackboneShape) -> bool:
    return shape.model_type == "t5" and str(configuration.get("feed_forward_proj", "relu")).startswith(
        "gated-"
    )


def _positions(configuration: Configuration) -> int:
    return position_rows(configuration, name="the model")


def _heads(configuration: Configuration) -> int:
    return _number(configuration, *HEADS)


def _number(configuration: Configuration, *names: str, default: int = 0) -> int:
    found = next((configuration[name] for name in names if configuration.get(name) is not None), default)
    if isinstance(found, bool) or not isinstance(found, int):
        raise TypeError(found)
    return found
