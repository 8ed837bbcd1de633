"""What is trained is said in words that a person can act on."""

from typing import Any

import pytest

from api_schemas.peft.description import describe_modules
from api_schemas.peft.registry import PeftMethod
from api_schemas.trial_configuration import TrialConfiguration

FOUR = [True] * 4


def described(**peft: Any) -> str:
    return describe_modules(
        TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})
    )


def test_modules_off_every_layer_are_the_probe() -> None:
    """A description follows the canonical configuration."""
    assert described(active_layers=[False] * 4, lora={"rank": 8}) == "head only (linear probe)"


@pytest.mark.parametrize("method", list(PeftMethod)[2:])
def test_every_method_has_a_name_and_none_is_called_the_probe(method: PeftMethod) -> None:
    """A new method cannot be forgotten."""
    assert described(method=method, active_layers=FOUR).startswith(method.definition.label)


@pytest.mark.parametrize(
    ("peft", "words"),
    [
        ({"method": "dora", "active_layers": FOUR}, "DoRA 8 (query, value) on all 4 layers"),
        (
            {"method": "oft", "library": {"block_size": 8, "ffn_in": True}, "first_active_layer": 1},
            "OFT with blocks of 8 (query, value, FFN in) on layers 1 and up",
        ),
        ({"method": "bitfit", "active_layers": [True, False, True, True]}, "BitFit on layers 0, 2-3"),
        ({"method": "fourierft"}, "FourierFT with 1,000 frequencies (query, value) on all layers"),
        (
            {"method": "vblora", "active_layers": [False, True]},
            "VB-LoRA 8 with vectors of 32 (query, value) on layer 1",
        ),
        ({"method": "p_tuning", "active_layers": FOUR}, "P-tuning with 20 tokens"),
    ],
)
def test_a_method_is_described_by_what_it_reads(peft: dict[str, Any], words: str) -> None:
    """Sizes, projections and layers where the method has them."""
    assert described(**peft) == words


@pytest.mark.parametrize(
    ("peft", "words"),
    [
        (
            {
                "serial_adapter": {"bottleneck_size": 24},
                "lora": {"rank": 4, "key": True},
                "active_layers": FOUR,
            },
            "serial 24 + LoRA 4 (query, key, value) on all 4 layers",
        ),
        (
            {"compacter": {"bottleneck_size": 12}, "scale_shift": {"on": True}, "first_active_layer": 2},
            "Compacter 12 + scale and shift on layers 2 and up",
        ),
        (
            {"serial_adapter": {"by_layer": [1, 24, 24, 0]}, "prefix_tuning": {"length": 6}},
            "prefix 6 on all 4 layers; serial 1 (layer 0), 24 (layers 1-2)",
        ),
        (
            {"parallel_adapter": {"by_layer": [0, 1, 0, 0]}, "compacter": {"by_layer": [6, 0, 0, 6]}},
            "parallel 1 (layer 1); Compacter 6 (layers 0, 3)",
        ),
        (
            {"scale_shift": {"by_layer": [True, False, True, True]}, "lora": {"rank": 8}},
            "LoRA 8 (query, value) on all 4 layers; scale and shift on layers 0, 2-3",
        ),
        (
            {"lora": {"by_layer": [{"query": 4, "ffn_out": 16}, {}, {"value": 2}, {}]}},
            "LoRA 2 to 16 on 3 projections of layers 0, 2",
        ),
    ],
)
def test_our_modules_are_described_with_their_layers(peft: dict[str, Any], words: str) -> None:
    """What all layers share is said once; what differs is said layer by layer."""
    assert described(**peft) == words
