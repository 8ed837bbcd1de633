"""Read untrusted YAML: plain values, within limits. Knows no study and no card.

YAML lets a few bytes stand for gigabytes (aliases of aliases) and nest deeper than Python recurses, so
the limits are kept on the events of the parser, before anything is built.
"""

import re
from typing import Any

import yaml

MAX_CHARACTERS = 1_000_000
"""Of the text, and of its values with those that an alias stands for."""
MAX_VALUES = 100_000
"""Lists, mappings, keys and values, with those that an alias stands for."""
MAX_DEPTH = 50
"""Lists and mappings within one another."""
MAX_DIGITS = 100

_EXPONENT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")


def reading_exponents(base: Any) -> Any:
    """Return a loader that takes 1e-5 for a number, as YAML 1.2 does; PyYAML takes it for a text."""
    loader: Any = type("Loader", (base,), {})
    loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    return loader


_LOADER = reading_exponents(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
_NUMBER = re.compile(r"[-+]?[0-9][0-9_:.]*")
_VALUE_WEIGHT = MAX_CHARACTERS // MAX_VALUES


class YamlBeyondLimits(yaml.MarkedYAMLError):
    """The text is larger or deeper, or stands for more, than is read."""

    def __init__(self, problem: str, event: yaml.Event | None = None) -> None:
        # libyaml has a type of its own for marks.
        mark: Any = None if event is None else event.start_mark
        super().__init__(problem=problem, problem_mark=mark)


def load_yaml(text: str) -> object:
    """Return the value of a document; None for an empty one.

    Raises:
        yaml.YAMLError: If it is no YAML, is beyond the limits (`YamlBeyondLimits`), or has half a
            surrogate pair, a date that there is not or the like.
    """
    check_yaml(text)
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  a safe one
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What PyYAML's constructors let out of a value that does not fit its tag.
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error


def check_yaml(text: str) -> None:
    """Read a document without building it.

    Raises:
        yaml.YAMLError: If it is no YAML or beyond the limits.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlBeyondLimits(f"it has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}")
    weights = [0]
    anchors: list[str | None] = []
    known: dict[str, int] = {}
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            _weigh(event, weights=weights, anchors=anchors, known=known)
    except UnicodeEncodeError as error:
        raise yaml.YAMLError("it has half a surrogate pair, which is no character") from error


def _weigh(
    event: yaml.Event, *, weights: list[int], anchors: list[str | None], known: dict[str, int]
) -> None:
    """Add a value to the weights of the open collections, of which the innermost stands last."""
    if isinstance(event, yaml.CollectionEndEvent):
        weight, anchor = weights.pop(), anchors.pop()
        if anchor is not None:
            known[anchor] = weight
        weights[-1] += weight
    elif isinstance(event, yaml.CollectionStartEvent):
        weights.append(_VALUE_WEIGHT)
        anchors.append(event.anchor)
        if len(anchors) > MAX_DEPTH:
            raise YamlBeyondLimits(f"it is nested more than {MAX_DEPTH} deep", event)
    elif isinstance(event, yaml.AliasEvent):
        if event.anchor in anchors:
            raise YamlBeyondLimits(f"the alias '{event.anchor}' stands within itself", event)
        weights[-1] += known.get(event.anchor or "", _VALUE_WEIGHT)
    elif isinstance(event, yaml.ScalarEvent):
        _check_scalar(event)
        weight = _VALUE_WEIGHT + len(event.value)
        if event.anchor is not None:
            known[event.anchor] = weight
        weights[-1] += weight
    if sum(weights) > MAX_CHARACTERS:
        raise YamlBeyondLimits(
            f"it has more than {MAX_VALUES:,} values or {MAX_CHARACTERS:,} characters, counted with those "
            "that aliases stand for",
            event,
        )


def _check_scalar(event: yaml.ScalarEvent) -> None:
    event.value.encode()
    # Python's own limit on digits, and sexagesimal numbers, whose cost grows with the square.
    as_number = not event.style or (event.tag or "").endswith((":int", ":float"))
    if as_number and len(event.value) > MAX_DIGITS and _NUMBER.fullmatch(event.value):
        raise YamlBeyondLimits(f"a number has more than {MAX_DIGITS} digits", event)
