"""Settings that are searched as multiples of something else, which only a parameterization names.

A trial configuration holds what comes out: `training.learning_rate`, not the factor. So a worker knows no
factors, and two spellings of one configuration are one trial.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from api_schemas.json_values import is_number
from api_schemas.peft.learning_rates import default_learning_rate
from api_schemas.peft.registry import Peft

DIGITS = 6
"""Significant digits of a product: 3e-5 times 2 is 6e-05, not 6.000000000000001e-05."""


@dataclass(frozen=True)
class Derived:
    """What a multiple sets, and what it is a multiple of; of 0 there is none, and nothing is set."""

    sets: str
    unit: Callable[[Peft], float]


LEARNING_RATE_FACTOR = "training.learning_rate_factor"


def _one_rank(peft: Peft) -> int:
    return peft.lora.rank if peft.lora.by_layer is None else 0


DERIVED: Mapping[str, Derived] = {
    LEARNING_RATE_FACTOR: Derived("training.learning_rate", default_learning_rate),
    "peft.lora.alpha_per_rank": Derived("peft.lora.alpha", _one_rank),
    "peft.library.alpha_per_rank": Derived("peft.library.alpha", lambda peft: peft.library.rank),
}
"""By the path that a parameter may have."""

SET_BY: Mapping[str, str] = {derived.sets: path for path, derived in DERIVED.items()}
"""The multiple that sets a setting, by the setting's path."""


def settled(multiples: Mapping[str, JsonValue], peft: Peft) -> Iterator[tuple[str, JsonValue]]:
    """Yield path and value of each setting that a multiple determines; the schema checks the values."""
    for path, value in multiples.items():
        derived = DERIVED[path]
        unit = derived.unit(peft)
        if unit and is_number(value):
            yield derived.sets, float(f"{value * unit:.{DIGITS}g}")
        elif not is_number(value):
            yield derived.sets, value


def with_multiples(settings: dict[str, Any], peft: Peft) -> dict[str, Any]:
    """Return the settings of a configuration, with the multiple that each comes to beside it."""
    for path, derived in DERIVED.items():
        *parents, multiple = path.split(".")
        node = settings
        for part in parents:
            node = node[part]
        value = node[derived.sets.rpartition(".")[2]]
        node[multiple] = value / (derived.unit(peft) or 1)
    return settings
