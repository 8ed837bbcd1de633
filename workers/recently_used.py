"""Values that are dear to make, by key: the most recently used ones are kept. Knows not what they are."""

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def kept_or_made(kept: dict[Key, Value], key: Key, make: Callable[[], Value], *, most: int) -> Value:
    """Return the value of a key, made if it is not kept; beyond `most` values those used longest ago go.

    They go before the new one is made: a device may have no room for one more.
    """
    if key in kept:
        value = kept.pop(key)
    else:
        while len(kept) >= most:
            del kept[next(iter(kept))]
        value = make()
    kept[key] = value
    return value
