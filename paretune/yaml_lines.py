"""In which line of a YAML document a value stands. The document has been found to be within limits."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import yaml

LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
MERGE = "tag:yaml.org,2002:merge"
TEXT_TAGS = frozenset({"tag:yaml.org,2002:str", MERGE})


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Return the line, from 1, of the key or list item at a place.

    Where the place does not exist, as of a key that is missing, it is that of the last step that does;
    None where not even the first does.
    """
    node, line = _root(text), None
    for step in place:
        found = _inner(node, step)
        if found is None:
            break
        marked, node = found
        line = marked.start_mark.line + 1
    return line


def repeated_key(text: str) -> tuple[str, int, int] | None:
    """Return a key that one mapping has twice, with its lines; the first value would be lost."""
    for node in _mappings(text):
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                return key.value, lines[key.value], line
            lines[key.value] = line
    return None


def key_that_is_no_text(text: str) -> tuple[str, int] | None:
    """Return a key that YAML takes for something else than text, as `on` for true, with its line."""
    for node in _mappings(text):
        for key, _ in node.value:
            if key.tag not in TEXT_TAGS:
                written = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                return written, key.start_mark.line + 1
    return None


@lru_cache(maxsize=2)
def _root(text: str) -> yaml.Node | None:
    root: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    return root


def _mappings(text: str) -> Iterator[yaml.MappingNode]:
    """Yield every mapping once, in the order that they are written in."""
    waiting = [_root(text)]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(node.value))
        elif isinstance(node, yaml.MappingNode):
            yield node
            waiting.extend(value for _, value in reversed(node.value))


def _inner(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return what marks a step of a place, and what lies there."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return key, value
    return None
