"""The portfolio: configurations that together did well on several tasks, as starting points of `auto`.

`portfolio.json` names them relative to the backbone that they were trained on, best first and each because of
what it adds to those before it. `python -m benchmarks.portfolio` writes that file; it holds where the numbers
are from. Knows no study and no database.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from api_schemas.backbones import BackboneShape
from api_schemas.peft.registry import Peft

FILE = Path(__file__).with_name("portfolio.json")

BY_WIDTH = ("serial_adapter", "parallel_adapter")
"""Modules whose size is a share of the hidden size. Ranks and prefixes are as long in every backbone."""


class Member(NamedTuple):
    """What is trained, and the learning rate as a multiple of what is usual for it."""

    peft: Peft
    learning_rate_factor: float


def portfolio(shape: BackboneShape) -> Iterator[Member]:
    """Yield the members for a backbone: bottlenecks by its width, layers by their relative depth."""
    recorded = _recorded()
    for entry in recorded["members"]:
        scaled = _scaled(entry["peft"], shape, recorded["backbone"])
        yield Member(Peft.model_validate(scaled), entry["learning_rate_factor"])


@cache
def _recorded() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _scaled(peft: Mapping[str, Any], shape: BackboneShape, recorded: Mapping[str, int]) -> dict[str, Any]:
    scaled = dict(peft)
    for module in BY_WIDTH:
        if module in scaled:
            size = scaled[module]["bottleneck_size"] * shape.hidden_size / recorded["hidden_size"]
            scaled[module] = scaled[module] | {"bottleneck_size": max(1, round(size))}
    if "first_active_layer" in scaled:
        scaled["first_active_layer"] = round(peft["first_active_layer"] * shape.layers / recorded["layers"])
    active = peft["active_layers"]
    depth = [layer * recorded["layers"] // shape.layers for layer in range(shape.layers)]
    return scaled | {"active_layers": [active[layer] for layer in depth]}
