"""Layers and projections in words."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby


def layers_in_words(layers: Sequence[int]) -> str:
    """Return `layers 0, 2-3`."""
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(_runs(layers))}"


def roles_in_brackets(roles: Sequence[str]) -> str:
    """Return ` (query, FFN in)`."""
    return f" ({', '.join(role.replace('_', ' ').replace('ffn', 'FFN') for role in roles)})"


def _runs(numbers: Iterable[int]) -> Iterator[str]:
    """Write neighbours as a range."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}"
