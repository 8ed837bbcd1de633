"""The known cost, against hand-made sums."""

import pytest

from api_schemas.backbones import BackboneShape
from api_schemas.peft.counts import trainable_parameters
from api_schemas.trial_configuration import TrialConfiguration, patch

# A grouped-query shape, so that query and key-value widths differ.
SHAPE = BackboneShape(
    model_type="llama",
    layers=3,
    hidden_size=8,
    ffn_size=20,
    query_size=8,
    key_value_size=4,
    max_positions=64,
)
BASE = TrialConfiguration.model_validate(
    {"backbone": "b", "task": {"name": "t"}, "peft": {"active_layers": [True, False, True]}}
)
HEAD = 8 * 5 + 5


@pytest.mark.parametrize(
    ("parameters", "per_layer"),
    [
        ({}, 0),
        ({"peft.serial_adapter.bottleneck_size": 2}, 8 * 2 + 2 + 2 * 8 + 8),
        ({"peft.parallel_adapter.bottleneck_size": 3}, 8 * 3 + 3 + 3 * 8 + 8),
        ({"peft.prefix_tuning.length": 5}, 2 * 5 * 4),
        ({"peft.lora.rank": 2}, 2 * (8 + 8) + 2 * (8 + 4)),
        (
            {
                "peft.lora.rank": 1,
                "peft.lora.query": False,
                "peft.lora.value": False,
                "peft.lora.ffn_in": True,
            },
            8 + 20,
        ),
        (
            {"peft.lora.rank": 1, "peft.lora.attention_output": True, "peft.lora.ffn_out": True},
            16 + 12 + 16 + 28,
        ),
    ],
)
def test_counts_are_exact(parameters: dict[str, bool | int | float | str], per_layer: int) -> None:
    """Two active layers and a head of five classes."""
    configuration = patch(BASE, parameters)
    assert trainable_parameters(configuration, shape=SHAPE, classes=5) == 2 * per_layer + HEAD
