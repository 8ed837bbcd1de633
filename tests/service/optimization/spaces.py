"""Search spaces at random, with bounds where arithmetic ends and conditions on every kind of parent."""

import math
import sys
from typing import Any

from hypothesis import strategies as st

from api_schemas.search_space import IntParameter, SearchSpace

EDGES = (
    -sys.float_info.max, -1e308, -1e18, -1.0, -1e-310, 0.0, 5e-324, 1e-310, 1e-300, 1e-5, 0.1, 0.3,
    1.0, 1.0000000000000002, 3.0, 2.0**53, 1e16, 1e18, 1e21, 1e23, 1e300, 1e308, sys.float_info.max,
)  # fmt: skip
WHOLE_EDGES = (-(2**53), -(10**9), -7, -1, 0, 1, 2, 3, 1000, 10**9 - 1, 10**9, 2**53 - 1, 2**53)
LEVELS: tuple[object, ...] = (True, 1, 2.5, "1", False, 0, "", 1e18, 10**17, 1e23, -1e300, 5e-324)


@st.composite
def search_spaces(draw: st.DrawFn) -> SearchSpace:
    """Draw up to six parameters; each may wait for values of any before it."""
    made: list[dict[str, Any]] = []
    for position in range(draw(st.integers(1, 6))):
        parameter = draw(_parameters()) | {"name": f"p{position}"}
        if made and draw(st.booleans()):
            parent = draw(st.sampled_from(made))
            parameter["when"] = {"parameter": parent["name"], "in": draw(_waking(parent))}
        made.append(parameter)
    return SearchSpace.model_validate({"parameters": made})


@st.composite
def _parameters(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["float", "float", "int", "ordinal", "categorical", "bool", "step"]))
    if kind == "bool":
        return {"type": "bool"}
    if kind == "categorical":
        return {"type": kind, "choices": draw(st.lists(st.sampled_from(LEVELS), unique_by=repr, min_size=1))}
    if kind == "ordinal":
        numbers = st.one_of(st.sampled_from(EDGES), st.sampled_from(WHOLE_EDGES))
        found = draw(st.lists(numbers, min_size=1, max_size=6, unique_by=float))
        return {"type": kind, "choices": sorted(found, key=float)}
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 1e-3, 3.0, 7.5]))
        low = draw(st.sampled_from([-2.0, 0.0, 0.3, 1.0]))
        return {"type": "float", "low": low, "high": low + draw(st.floats(0, 20)), "step": step}
    edges = st.sampled_from(WHOLE_EDGES if kind == "int" else EDGES)
    ends = draw(st.tuples(edges, edges | st.none()))
    # None: the end is the neighbour of the other one.
    other = ends[1] if ends[1] is not None else _next(ends[0], whole=kind == "int")
    low, high = sorted((ends[0], other))
    return {"type": kind, "low": low, "high": high, "log": low > 0 and draw(st.booleans())}


def _next(number: float, *, whole: bool) -> float:
    if whole:
        return number - 1 if number == 2**53 else number + 1
    return math.nextafter(number, 0.0 if number else 1.0)


def _waking(parent: dict[str, Any]) -> st.SearchStrategy[list[object]]:
    if parent["type"] == "bool":
        return st.lists(st.booleans(), min_size=1, max_size=2)
    if "choices" in parent:
        return st.lists(st.sampled_from(parent["choices"]), min_size=1, max_size=3)
    low, high = parent["low"], parent["high"]
    if "step" in parent:
        return st.lists(st.just(low), min_size=1, max_size=1)
    inside = [edge for edge in (*EDGES, *WHOLE_EDGES) if low <= edge <= high and _fits(edge, parent)]
    return st.lists(st.sampled_from([low, high, *inside]), min_size=1, max_size=3)


def _fits(edge: float, parent: dict[str, Any]) -> bool:
    whole = IntParameter(name="n", low=-(2**53), high=2**53)
    return parent["type"] == "float" or whole.contains(edge)
