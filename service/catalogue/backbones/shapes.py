"""What a model's configuration file says: family, sizes, and whether its weights are quantised.

Everything that cannot be is refused with the entry and what may stand there. Reads no files and loads
no torch, no transformers.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from api_schemas.backbones import BackboneShape
from api_schemas.model_families import FAMILIES
from api_schemas.peft.own_module import LAYERS_LIMIT
from api_schemas.trial_configuration import Quantisation
from service.errors import UnknownBackbone

# What families of configuration files call the same size, first hit wins.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN_SIZE = ("hidden_size", "n_embd", "dim", "d_model")
FFN_SIZE = ("intermediate_size", "n_inner", "hidden_dim", "d_ff")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KEY_VALUE_HEADS = ("num_key_value_heads",)
HEAD_SIZE = ("head_dim", "d_kv", "attention_head_size")
EMBEDDING_SIZE = ("embedding_size",)
MAX_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")
PADDING = ("pad_token_id",)
VOCABULARY = ("vocab_size",)

WIDEST = 1_000_000
MOST_ROWS = 1_000_000_000

BITSANDBYTES = (None, "bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit")


def shape_from_configuration(configuration: Mapping[str, Any], *, name: str = "the model") -> BackboneShape:
    """Read the sizes from a configuration of any of the supported families.

    Raises:
        UnknownBackbone: If the family is not supported, a size is missing or absurd, or the network is
            built in a way that would be loaded as another one.
    """
    family = _family(configuration, name)
    _refuse_other_networks(configuration, name)
    size = partial(_size, configuration, name=name)
    hidden_size = size(HIDDEN_SIZE)
    heads = size(HEADS, most=hidden_size)
    key_value_heads = size(KEY_VALUE_HEADS, default=heads, most=heads)
    if heads % key_value_heads or (hidden_size % heads and not _has(configuration, HEAD_SIZE)):
        raise UnknownBackbone(
            f"The config.json of '{name}' does not add up: hidden size {hidden_size}, {heads} attention "
            f"heads, {key_value_heads} key-value heads; each must be a multiple of the next. Get it again."
        )
    head_size = size(HEAD_SIZE, default=hidden_size // heads)
    factorised = FAMILIES[family].factorised_embedding
    embedding_size = size(EMBEDDING_SIZE, default=hidden_size) if factorised else hidden_size
    return BackboneShape(
        model_type=family,
        layers=size(LAYERS, most=LAYERS_LIMIT),
        hidden_size=hidden_size,
        ffn_size=size(FFN_SIZE, default=4 * hidden_size, most=4 * WIDEST),
        query_size=heads * head_size,
        key_value_size=key_value_heads * head_size,
        max_positions=position_rows(configuration, name=name)
        - _unused_positions(configuration, family, name),
        embedding_size=None if embedding_size == hidden_size else embedding_size,
    )


def vocabulary_size(configuration: Mapping[str, Any], *, name: str) -> int | None:
    """Return how many rows the embedding should have, where the configuration says so.

    Raises:
        UnknownBackbone: If what it says is absurd.
    """
    if not _has(configuration, VOCABULARY):
        return None
    return _size(configuration, VOCABULARY, name=name, most=MOST_ROWS)


def position_rows(configuration: Mapping[str, Any], *, name: str) -> int:
    """Return how many positions there are, those that no token takes among them.

    Raises:
        UnknownBackbone: If what the configuration says is absurd.
    """
    return _size(configuration, MAX_POSITIONS, name=name, default=512, most=MOST_ROWS)


def own_quantisation(configuration: Mapping[str, Any], *, name: str) -> Quantisation | None:
    """Return in how many bits the files themselves keep the linear maps; None for whole weights.

    Raises:
        UnknownBackbone: If they are quantised in a way that cannot be trained on here.
    """
    given = configuration.get("quantization_config") or configuration.get("compression_config")
    if not given:
        return None
    if isinstance(given, Mapping) and given.get("quant_method") in BITSANDBYTES:
        bits = {
            how
            for how in Quantisation
            if given.get(f"load_in_{how}") is True or given.get(f"_load_in_{how}") is True
        }
        if len(bits) == 1:
            return bits.pop()
    method = given.get("quant_method") if isinstance(given, Mapping) else given
    raise UnknownBackbone(
        f"'{name}' is already quantised ({_shown(method)}), in a way that cannot be trained on here. Take "
        "the whole weights and set `quantisation` to 4bit or 8bit, or a folder that bitsandbytes made."
    )


def _has(configuration: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(configuration.get(entry) is not None for entry in names)


def _size(
    configuration: Mapping[str, Any],
    names: tuple[str, ...],
    *,
    name: str,
    default: int | None = None,
    least: int = 1,
    most: int = WIDEST,
) -> int:
    for entry in names:
        found = configuration.get(entry)
        if found is None:
            continue
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise UnknownBackbone(
                f"The config.json of '{name}' says {entry}: {_shown(found)}; only a whole number from "
                f"{least:,} to {most:,} can be worked with here."
            )
        return found
    if default is None:
        raise UnknownBackbone(
            f"The config.json of '{name}' gives no transformer shape: it has none of {', '.join(names)}."
        )
    return default


def _family(configuration: Mapping[str, Any], name: str) -> str:
    family = configuration.get("model_type")
    if not isinstance(family, str):
        raise UnknownBackbone(
            f"The config.json of '{name}' gives no transformer shape: it has no model_type that names a "
            f"family. {_families()}"
        )
    if family not in FAMILIES:
        raise UnknownBackbone(
            f"'{name}' is of the family {_shown(family)}, to which modules cannot be attached yet. "
            + _families()
        )
    return family


def _families() -> str:
    return f"These can: {', '.join(sorted(FAMILIES))}."


def _refuse_other_networks(configuration: Mapping[str, Any], name: str) -> None:
    positions = configuration.get("position_embedding_type")
    if positions not in (None, "absolute"):
        # transformers 5 ignores the entry and would compute another network.
        raise UnknownBackbone(
            f"'{name}' has position_embedding_type {_shown(positions)}, which transformers no longer knows; "
            "only absolute positions can be loaded."
        )
    if configuration.get("add_cross_attention"):
        raise UnknownBackbone(
            f"'{name}' has cross-attention to an encoder (add_cross_attention), so it is half of a pair and "
            "classifies no text alone. Take an encoder or a plain decoder."
        )
    if configuration.get("chunk_size_feed_forward"):
        raise UnknownBackbone(
            f"'{name}' has a chunk_size_feed_forward, with which texts of most lengths cannot be computed. "
            "Set it to 0: it saves memory and changes no result."
        )


def _unused_positions(configuration: Mapping[str, Any], family: str, name: str) -> int:
    if not FAMILIES[family].embeds_padding:
        return 0
    rows = vocabulary_size(configuration, name=name) or MOST_ROWS
    if not FAMILIES[family].positions_after_padding:
        # torch counts a negative one from the end of the embedding.
        _size(configuration, PADDING, name=name, default=0, least=-rows, most=rows - 1)
        return 0
    if configuration.get("pad_token_id", 1) is None:
        raise UnknownBackbone(
            f"The config.json of '{name}' has no pad_token_id, from behind which '{family}' numbers its "
            "positions. Get it again."
        )
    most = min(rows - 1, position_rows(configuration, name=name) - 2)
    return 1 + _size(configuration, PADDING, name=name, default=1, least=0, most=most)


def _shown(found: object) -> str:
    text = repr(found) if isinstance(found, str) or not isinstance(found, int) else f"{found:,}"
    return text if len(text) <= 60 else f"{text[:57]}..."
