"""The head alone is one configuration to the models, however a point spells it."""

import numpy as np
import pytest

from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.optimization.grid import Candidates, Codes, Grid
from service.studies.layers import with_layers
from service.suggestions.spellings import one_spelling
from tests.service.suggestions.test_exact_metrics import SHAPE

LAYERS = [f"peft.active_layers.{layer}" for layer in range(SHAPE.layers)]
FACTOR = "training.learning_rate_factor"
SIZES = ("serial_adapter.bottleneck_size", "parallel_adapter.bottleneck_size", "prefix_tuning.length")
NO_SIZE = {**{f"peft.{name}": 0 for name in SIZES}, "peft.lora.rank": 0}
HEAD = {"peft.method": "modules", **dict.fromkeys(LAYERS, False), **NO_SIZE}
"""As the starting points spell it."""


def spelled(preset: PresetName, *points: Parameterization) -> tuple[Codes, Codes]:
    """Return points as they are and as the models read them; what a point leaves out is at its lowest."""
    space = SearchSpace(parameters=expand_preset(preset, shape=SHAPE))
    base = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}})
    base = with_layers(base, SHAPE, search_space=space)
    grid = Grid(space)
    codes = grid.codes(points)
    codes = grid.canonical(codes, fill=np.zeros_like(codes))
    read = one_spelling(base, shape=SHAPE, classes=3)
    return codes, read(Candidates(grid, codes))


@pytest.mark.parametrize(
    "point",
    [
        {"peft.method": "head_only"},
        {"peft.method": "bitfit", **dict.fromkeys(LAYERS, False)},
        {"peft.method": "dora", "peft.library.rank": 4, **dict.fromkeys(LAYERS, False)},
        {**HEAD, "peft.lora.rank": 2, "peft.lora.query": True},
        {**HEAD, **dict.fromkeys(LAYERS, True)},
    ],
    ids=["head only", "BitFit nowhere", "DoRA nowhere", "LoRA nowhere", "nothing everywhere"],
)
def test_every_spelling_of_the_head_alone_is_read_alike(point: Parameterization) -> None:
    """Its learning rate stays, for that is the head's own."""
    codes, read = spelled(
        PresetName.AUTO, {**HEAD, FACTOR: 2.0}, {**point, FACTOR: 2.0}, {**HEAD, FACTOR: 3.0}
    )
    assert not np.array_equal(codes[0], codes[1])
    assert np.array_equal(read[0], codes[0])
    assert np.array_equal(read[1], read[0])
    assert not np.array_equal(read[2], read[0])


def test_what_trains_more_is_read_as_it_is() -> None:
    """One layer with LoRA of rank 1 is enough."""
    first = {LAYERS[0]: True, "peft.lora.rank": 1, "peft.lora.query": True}
    codes, read = spelled(PresetName.AUTO, {**HEAD, **first}, {"peft.method": "full"})
    assert np.array_equal(read, codes)


def test_a_space_without_methods_has_one_spelling_too() -> None:
    """The lowest rank in no layer."""
    nowhere = dict.fromkeys(LAYERS, False)
    codes, read = spelled(PresetName.LORA, {"peft.lora.rank": 8, **nowhere}, {"peft.lora.rank": 4, **nowhere})
    assert not np.array_equal(codes[0], codes[1])
    assert np.array_equal(read[0], read[1])
