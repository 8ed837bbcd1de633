"""The configurations of the table: methods as people set them by hand, and a sample of the preset `auto`.

Every one is a parameterization of `auto` where `auto` can say it, so that a search over that space can
be replayed. The order is fixed; a longer list begins with the shorter one.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from api_schemas.backbones import BackboneShape
from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import PeftMethod
from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks.autopeft.protocol import BACKBONE, FULL, FULL_RATES, MANUAL, RATE
from service.catalogue.backbones import by_name
from service.optimization.candidates import density_sample

CUSTOMARY = "LoRA 8, customary"
"""Rank 8 on queries and values at LoRA's usual rate: what people run who tune nothing."""

CUSTOMARY_RATE = 4e-4

SHARES: Mapping[PeftMethod, int] = {
    PeftMethod.MODULES: 9,
    PeftMethod.FULL: 4,
    PeftMethod.RSLORA: 2,
    PeftMethod.DORA: 2,
    PeftMethod.PISSA: 2,
    PeftMethod.BITFIT: 2,
    PeftMethod.HEAD_ONLY: 1,
}
"""Of 22 sampled configurations so many are of each method: the more it has to set, the more."""


SIZES = (
    "peft.serial_adapter.bottleneck_size",
    "peft.parallel_adapter.bottleneck_size",
    "peft.prefix_tuning.length",
    "peft.lora.rank",
)

FACTORS = (0.25, 8.0)
"""Multiples of a method's own learning rate. `auto` begins at an eighth; 60 steps of that teach nothing."""

DRAWS = 4000
"""Drawn from the whole space before each method gets its share."""


@dataclass(frozen=True)
class Entry:
    """One configuration. `origin` is the method by hand that it is a rate of, or `auto`."""

    name: str
    origin: str
    configuration: TrialConfiguration


def by_hand(base: TrialConfiguration) -> list[Entry]:
    """Return the methods set by hand at each of their rates, and LoRA 8 as people run it."""
    found = [Entry(CUSTOMARY, CUSTOMARY, canonical(patch(base, {"peft.lora.rank": 8, RATE: CUSTOMARY_RATE})))]
    for name, method in MANUAL.items():
        values = {METHOD: PeftMethod.FULL.value} if name == FULL else dict(method.values)
        rates = FULL_RATES if name == FULL else method.rates
        found += [
            Entry(f"{name} @ {rate:g}", name, canonical(patch(base, values | {RATE: rate}))) for rate in rates
        ]
    return found


def sampled(base: TrialConfiguration, count: int, *, shape: BackboneShape) -> list[Entry]:
    """Return configurations drawn from `auto`, each method as often as its share says, none twice."""
    rng = random.Random("peft table")  # noqa: S311  an experiment, not a secret
    draws: dict[PeftMethod, dict[str, TrialConfiguration]] = {method: {} for method in SHARES}
    space = auto_space(shape)
    for point in density_sample(space, DRAWS, rng=rng):
        configuration = canonical(patch(base, space.active(_thinned(point, rng=rng))))
        draws[_method(configuration)].setdefault(configuration.model_dump_json(), configuration)
    of_method = {method: iter(found.values()) for method, found in draws.items()}
    return [
        Entry(f"auto {number:03d}", "auto", next(of_method[method]))
        for number, method in zip(range(count), _turns(), strict=False)
    ]


def auto_space(shape: BackboneShape) -> SearchSpace:
    """Return the preset's whole space."""
    return SearchSpace(parameters=tuple(expand_preset(PresetName.AUTO, shape=shape)))


def _thinned(point: Parameterization, *, rng: random.Random) -> Parameterization:
    """Return a draw in which few modules are as likely as many, and no rate is below the lowest factor."""
    density = rng.random()
    left_out = [name for name in SIZES if rng.random() > density]
    factor = FACTORS[0] * (FACTORS[1] / FACTORS[0]) ** rng.random()
    return point | {name: 0 for name in left_out if name in point} | {LEARNING_RATE_FACTOR: factor}


def searched_shape() -> BackboneShape:
    """Return the backbone's shape with the count of its weights, which `full` needs."""
    checkpoint = by_name.checkpoint(BACKBONE, models_dir=None)
    return checkpoint.shape.model_copy(update={"weights": checkpoint.weights})


def _method(configuration: TrialConfiguration) -> PeftMethod:
    """Return what is trained: whatever the method, without a module it is the head alone."""
    peft = configuration.peft
    return PeftMethod.HEAD_ONLY if not any(peft.active_layers or ()) else peft.method


def _turns() -> Iterator[PeftMethod]:
    """Yield methods for ever, spread evenly, each by its share."""
    owed = dict.fromkeys(SHARES, 0.0)
    total = sum(SHARES.values())
    while True:
        for method, share in SHARES.items():
            owed[method] += share / total
        following = max(owed, key=lambda method: owed[method])
        owed[following] -= 1
        yield following
