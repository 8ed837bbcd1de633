"""Fewer attention heads in a layer, where a plain configuration can say so. Knows no importance."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from api_schemas.model_families import FAMILIES, LayerPaths
from workers.architecture.projections import frozen, is_part, keep_parts

POSITION_BIAS = "relative_attention_bias"


def head_counts(configuration: Any) -> tuple[int, int]:
    """Return how many heads a layer has, and how many of keys and values."""
    heads = int(configuration.num_attention_heads)
    return heads, int(getattr(configuration, "num_key_value_heads", None) or heads)


def head_refusals(configuration: Any, heads: Sequence[Sequence[int]] | None) -> Mapping[str, bool]:
    """Return every reason why these heads of each layer cannot be all that is kept, and whether it holds."""
    family = FAMILIES.get(configuration.model_type)
    if heads is None or family is None:
        return {}
    count, key_value_heads = head_counts(configuration)
    group = count // key_value_heads
    is_grouped = key_value_heads < count
    return {
        "its configuration gives a head no width of its own": family.head_size is None,
        f"it has {count} heads, and as many of them must stay in each layer": (
            len(set(map(len, heads))) > 1 or not all(is_part(of_layer, of=count) for of_layer in heads)
        ),
        f"each of its {key_value_heads} heads of keys and values must keep as many heads of queries": (
            is_grouped and any(_is_uneven(of_layer, group, key_value_heads) for of_layer in heads)
        ),
        "its layers share one position bias, so they keep the same heads": (
            family.shares_position_bias and len(set(map(tuple, heads))) > 1
        ),
    }


def _is_uneven(heads: Sequence[int], group: int, groups: int) -> bool:
    sizes = {sum(head // group == number for head in heads) for number in range(groups)}
    return len(sizes) > 1


def cut_heads(layer: nn.Module, heads: Sequence[int], *, paths: LayerPaths, configuration: Any) -> None:
    """Keep some heads of a layer; `configuration` still says how many it had.

    Where every head of queries has keys and values of its own, these go with it.
    """
    count, key_value_heads = head_counts(configuration)
    query = layer.get_submodule(paths.query)
    size = query.get_parameter("weight").shape[0] // count
    rows = [head * size + number for head in heads for number in range(size)]
    keep_parts(query, rows, reads=False)
    keep_parts(layer.get_submodule(paths.attention_output), rows, reads=True)
    follows = key_value_heads == count
    if follows:
        keep_parts(layer.get_submodule(paths.key), rows, reads=False)
        keep_parts(layer.get_submodule(paths.value), rows, reads=False)
    attention = layer.get_submodule(paths.attention)
    sizes = {
        "n_heads": len(heads),
        "inner_dim": len(heads) * size,
        "num_key_value_groups": 1 if follows else len(heads) // key_value_heads,
    }
    for name in sizes.keys() & vars(attention).keys():
        setattr(attention, name, sizes[name])
    table = attention._modules.get(POSITION_BIAS)
    if isinstance(table, nn.Embedding):
        table.weight = frozen(table.weight[:, list(heads)])
        table.embedding_dim = len(heads)


def describe_heads(configuration: Any, heads: int) -> None:
    """Write the number of heads into a configuration, and how wide one is."""
    count, key_value_heads = head_counts(configuration)
    entry = FAMILIES[configuration.model_type].head_size
    assert entry is not None  # noqa: S101  or the cut is refused
    size = getattr(configuration, entry, None) or configuration.hidden_size // count
    setattr(configuration, entry, size)
    configuration.num_attention_heads = heads
    if key_value_heads == count and hasattr(configuration, "num_key_value_heads"):
        configuration.num_key_value_heads = heads
