"""Counting many candidates at once gives the numbers of counting one by one."""

import numpy as np
import pytest

from api_schemas.backbones import BackboneShape
from api_schemas.presets import expand_preset
from api_schemas.search_space import PresetName, SearchSpace
from api_schemas.trainable_parameters import trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.known_costs import known_metrics
from service.optimization.candidates import density_codes
from service.optimization.grid import Candidates, Grid
from service.studies.layers import with_layers

SHAPE = BackboneShape(
    model_type="bert", layers=5, hidden_size=48, ffn_size=96, query_size=48, key_value_size=24,
    max_positions=512,
)  # fmt: skip
BASES = {
    "nothing": {},
    "a compacter and a shift": {
        "compacter": {"bottleneck_size": 8, "division": 2}, "scale_shift": {"on": True},
    },
    "every second layer": {"active_layers": [True, False, True, False, True], "lora": {"rank": 3}},
}  # fmt: skip


@pytest.mark.parametrize("peft", BASES.values(), ids=BASES)
@pytest.mark.parametrize("preset", list(PresetName))
def test_columns_count_as_the_contract_does(preset: PresetName, peft: dict[str, object]) -> None:
    """Every preset, over bases that carry something of their own."""
    space = SearchSpace(parameters=expand_preset(preset, shape=SHAPE))
    base = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})
    base = with_layers(base, SHAPE, search_space=space)
    grid = Grid(space)
    codes = density_codes(grid, 60, rng=np.random.default_rng(0))
    counted = known_metrics(base, shape=SHAPE, classes=3)["trainable_parameters"](Candidates(grid, codes))
    expected = [
        trainable_parameters(canonical(patch(base, values)), shape=SHAPE, classes=3)
        for values in grid.parameterizations(codes)
    ]
    assert counted.tolist() == expected
    assert len(set(expected)) > 5
