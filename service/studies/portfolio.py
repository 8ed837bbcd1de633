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
from api_schemas.peft.learning_rates import default_learning_rate
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration

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
        yield scaled(entry, shape, **recorded["backbone"])


def member_of(configuration: TrialConfiguration) -> dict[str, Any]:
    """Return what a canonical configuration trains, with its rate as a multiple of the method's own."""
    peft = configuration.peft
    factor = configuration.training.learning_rate / default_learning_rate(peft)
    if peft.method is PeftMethod.FULL:
        # Canonically the layers are switches; a space has the first of them.
        active = peft.active_layers or (True,)
        first = {"first_active_layer": active.index(True), "active_layers": (True,) * len(active)}
        peft = peft.model_copy(update=first)
    return {
        "peft": peft.model_dump(mode="json", exclude_defaults=True),
        "learning_rate_factor": float(f"{factor:.3g}"),
    }


def scaled(member: Mapping[str, Any], shape: BackboneShape, *, layers: int, hidden_size: int) -> Member:
    """Return a member that was trained on a backbone of so many layers and that width, for another one."""
    peft = dict(member["peft"])
    for module in BY_WIDTH:
        if module in peft:
            size = peft[module]["bottleneck_size"] * shape.hidden_size / hidden_size
            peft[module] = peft[module] | {"bottleneck_size": max(1, round(size))}
    if "first_active_layer" in peft:
        first = round(peft["first_active_layer"] * shape.layers / layers)
        peft["first_active_layer"] = min(first, shape.layers - 1)
    depths = [layer * layers // shape.layers for layer in range(shape.layers)]
    peft["active_layers"] = [member["peft"]["active_layers"][depth] for depth in depths]
    return Member(Peft.model_validate(peft), member["learning_rate_factor"])


@cache
def _recorded() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found
