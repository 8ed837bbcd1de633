"""Which existing name an unknown one may have meant. Pure; knows no schema."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from difflib import SequenceMatcher
from functools import lru_cache
from heapq import nlargest

NEAR = 0.6
"""Least likeness, from 0 to 1; difflib's own."""
MOST_SHOWN = 12
LONGEST_SHOWN = 60

MOST_COMPARED = 50
"""Names whose likeness is computed; of more, those that share the most letters with the word."""
LONGEST_COMPARED = 64
"""Letters of a name; the time that a likeness takes grows with their square."""


def near_names(word: str, names: Iterable[str], *, most: int = 2) -> tuple[str, ...]:
    """Return the names that are most like a word, the likeliest first; none where none is near.

    Dotted paths are compared step by step. `lr` is near `learning_rate`, `epoch` near `epochs`.
    """
    rated = sorted((-_likeness(word, name), name) for name in _promising(word, set(names)))
    found = [(rate, name) for rate, name in rated if -rate >= NEAR]
    # What is clearly farther than the first is noise.
    return tuple(name for rate, name in found[:most] if -rate >= -found[0][0] - 0.1)


def meant(word: str, names: Iterable[str]) -> str:
    """Return what a sentence about a wrong name may end with: `. Did you mean 'x'?`, or nothing."""
    near = near_names(word, names)
    return f". Did you mean {' or '.join(map(quoted, near))}?" if near else ""


def did_you_mean(word: str, names: Sequence[str]) -> str:
    """Return the hint for a name that does not exist."""
    if near := meant(word, names):
        return near.removeprefix(". ")
    if not names:
        return "Nothing may stand there."
    shown = ", ".join(map(quoted, list(names)[:MOST_SHOWN]))
    return f"There {'are' if len(names) > 1 else 'is'}: {shown}{', ...' if len(names) > MOST_SHOWN else ''}."


def quoted(name: str) -> str:
    """Return a name for a sentence, cut where it is long."""
    return f"'{name}'" if len(name) <= LONGEST_SHOWN else f"'{name[:LONGEST_SHOWN]}...'"


def _promising(word: str, names: Set[str]) -> Iterable[str]:
    if len(names) <= MOST_COMPARED:
        return names
    plain, letters = _plain(word), _letters(word)
    last = _plain(word.rpartition(".")[2])

    def promise(name: str) -> tuple[bool, float, str]:
        others = _letters(name)
        shared = sum(min(count, others.get(letter, 0)) for letter, count in letters.items())
        short = _abbreviates(last, _parts(name.rpartition(".")[2]))
        return short, shared / max(len(plain) + sum(others.values()), 1), name

    return nlargest(MOST_COMPARED, names, key=promise)


# Of one request, many wrong names are compared with the same right ones.
@lru_cache(maxsize=4096)
def _letters(name: str) -> Mapping[str, int]:
    return Counter(_plain(name))


def _likeness(word: str, name: str) -> float:
    steps, others = word.split("."), name.split(".")
    if len(steps) != len(others):
        # A step too many or too few: what stands last says most.
        common = min(len(steps), len(others))
        return max(0.95 * _of_steps(steps[-common:], others[-common:]), _ratio(word, name))
    return _of_steps(steps, others)


def _of_steps(steps: Sequence[str], others: Sequence[str]) -> float:
    rates = [_alike(left, right) for left, right in zip(steps, others, strict=True)]
    return min(rates) * 0.7 + 0.3 * sum(rates) / len(rates)


def _alike(word: str, name: str) -> float:
    left, right = _plain(word), _plain(name)
    if left == right:
        return 1.0
    if not left or not right:
        return 0.0
    if left.isdecimal() and right.isdecimal():
        return 1.0  # of which layer it is, is not what was misspelt
    if _abbreviates(left, _parts(name)):
        return 0.9
    contained = len(left) > 2 and (left in right or (len(right) > 2 and right in left))
    return max(_ratio(left, right), 0.75 if contained else 0.0)


@lru_cache(maxsize=4096)
def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word[:LONGEST_COMPARED].lower())


@lru_cache(maxsize=4096)
def _parts(name: str) -> Sequence[str]:
    return tuple(filter(None, re.split(r"[^a-z0-9]+", name[:LONGEST_COMPARED].lower())))


def _ratio(left: str, right: str) -> float:
    return SequenceMatcher(None, left[:LONGEST_COMPARED], right[:LONGEST_COMPARED], autojunk=False).ratio()


def _abbreviates(word: str, parts: Sequence[str]) -> bool:
    """Return whether a word is put together of the beginnings of all parts: `lr`, `lrate`, `bsize`, `r`."""
    reached = {0}
    for part in parts:
        reached = {
            start + length
            for start in reached
            for length in range(1, len(part) + 1)
            if word.startswith(part[:length], start)
        }
    return len(word) in reached
