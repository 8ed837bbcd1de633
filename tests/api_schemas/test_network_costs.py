"""What a network costs is what a network of transformers of the same sizes has and does."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from api_schemas.architecture import Architecture
from api_schemas.backbones import BackboneShape
from api_schemas.exact_metrics import exact_metrics
from api_schemas.model_families import CUT_FAMILIES
from api_schemas.network_costs import network_problem
from api_schemas.objectives import NETWORK_METRICS
from api_schemas.peft.registry import OWN_MODULES
from api_schemas.trial_configuration import TrialConfiguration
from tests.workers.conftest import KINDS, counted_shape, tiny, unchanged
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import Orders, chosen
from workers.backbones.loading import model_class
from workers.peft_methods.registry import CHANGES_OF_WEIGHTS

CUT = Architecture(keep_layers=2, ffn_width=20)
GROUPED = Architecture(keep_layers=3, ffn_width_groups=(24, 8))
LENGTH = 8
HEAD = 16 * 3 + 3
SIZES = {"distilbert": ("n_layers", "hidden_dim"), "gpt2": ("n_layer", "n_inner")}


def costs(shape: BackboneShape, architecture: Architecture | None = CUT, **peft: object) -> dict[str, float]:
    configuration = TrialConfiguration.model_validate(
        {
            "backbone": "b", "task": {"name": "t"}, "peft": peft, "training": {"max_length": LENGTH},
            "architecture": None if architecture is None else architecture.model_dump(),
        }
    )  # fmt: skip
    return exact_metrics(configuration, shape=shape, classes=3)


def smaller(family: str) -> torch.nn.Module:
    configuration = deepcopy(KINDS[family])
    layers, width = SIZES.get(family, ("num_hidden_layers", "intermediate_size"))
    setattr(configuration, layers, CUT.keep_layers)
    setattr(configuration, width, CUT.ffn_width)
    if getattr(configuration, "layer_types", None):
        configuration.layer_types = configuration.layer_types[: CUT.keep_layers]
    configuration._attn_implementation = "eager"
    built: torch.nn.Module = model_class(configuration.model_type).from_config(configuration)
    return built.eval()


@pytest.mark.parametrize("family", CUT_FAMILIES)
def test_parameters_are_those_of_a_network_of_that_size(family: str) -> None:
    """Layers and units that are left out go with all that is theirs; the head is counted, a pooler is not."""
    named = smaller(family).named_parameters()
    expected = sum(weight.numel() for name, weight in named if "pooler" not in name)
    assert costs(counted_shape(tiny(family)))["model_parameters"] == expected + HEAD


@pytest.mark.parametrize("family", ["bert", "distilbert", "llama"])
def test_operations_are_those_that_torch_counts(family: str) -> None:
    """For each token of a text of the longest length; rotations of positions are too few to matter."""
    model = smaller(family)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.arange(1, LENGTH + 1)[None])
    pooler = 2 * 16 * 16 if getattr(model, "pooler", None) is not None else 0
    expected = (counter.get_total_flops() - pooler) / LENGTH
    assert costs(counted_shape(tiny(family)))["flops"] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("family", "kept"),
    [
        ("llama", Architecture(keep_layers=2, ffn_width=20, heads=2)),
        ("qwen3", Architecture(keep_layers=3, heads=2)),
        ("mistral", Architecture(keep_layers=1, heads=2)),
        ("t5", Architecture(keep_layers=3, heads=3)),
        ("t5 with a gated feed-forward block", Architecture(keep_layers=3, ffn_width=20, heads=1)),
        ("bert", GROUPED),
        ("llama", GROUPED.model_copy(update={"heads": 2})),
        ("gpt2", Architecture(keep_layers=2, ffn_width_groups=(8, 16, 24))),
    ],
)
def test_parameters_are_those_of_what_a_worker_cuts(family: str, kept: Architecture) -> None:
    """Heads, and widths by depth; so is what full fine-tuning trains."""
    orders = Orders((0, 1, 2), (tuple(range(32)),) * 3, ((0, 2, 1, 3),) * 3)
    with unchanged(family) as whole:
        smaller = extracted(whole, chosen(kept, orders))
        named = list(smaller.model.named_parameters())
        shape = counted_shape(whole)
    expected = sum(weight.numel() for name, weight in named if "pooler" not in name)
    found = costs(shape, kept, method="full")
    assert found["model_parameters"] == found["trainable_parameters"] == expected + HEAD


@pytest.mark.parametrize("kept", [GROUPED, Architecture(keep_layers=2, heads=2)])
def test_operations_of_what_a_worker_cuts_are_those_that_torch_counts(kept: Architecture) -> None:
    """With fewer heads, both products of attention shrink with the projections."""
    orders = Orders((0, 1, 2), (tuple(range(32)),) * 3, ((0, 2, 1, 3),) * 3)
    with unchanged("llama") as whole:
        model: Any = extracted(whole, chosen(kept, orders)).model
        model.config._attn_implementation = "eager"  # torch counts no other on a CPU
        shape = counted_shape(whole)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.arange(1, LENGTH + 1)[None])
    assert costs(shape, kept)["flops"] == pytest.approx(counter.get_total_flops() / LENGTH, rel=0.01)


def test_modules_on_layers_of_several_widths_are_counted_one_by_one() -> None:
    """A low-rank update is as wide as the block of its own layer, and the head is there once."""
    shape = counted_shape(tiny("bert"))
    rank = {"rank": 2, "query": False, "value": False, "ffn_in": True}
    found = costs(shape, GROUPED, lora=rank)
    assert found["trainable_parameters"] == 2 * (16 + 24) * 2 + 2 * (16 + 8) + HEAD


def test_only_what_cannot_be_merged_is_added() -> None:
    """LoRA goes into the weights; adapters and prompts stay beside them."""
    shape = counted_shape(tiny("bert"))
    alone = costs(shape)
    merged = costs(shape, lora={"rank": 2})
    assert [merged[metric] for metric in NETWORK_METRICS] == [alone[metric] for metric in NETWORK_METRICS]
    adapted = costs(shape, serial_adapter={"bottleneck_size": 4})
    assert adapted["model_parameters"] - alone["model_parameters"] == 2 * (16 * 4 + 4 + 4 * 16 + 16)
    assert adapted["flops"] - alone["flops"] == 2 * 2 * 2 * 16 * 4
    prompted = costs(shape, method="prompt_tuning", library={"virtual_tokens": 5})
    assert prompted["model_parameters"] - alone["model_parameters"] == 5 * 16


def test_what_counts_as_merged_is_what_is_merged() -> None:
    """The count and the export speak of the same modules."""
    assert {name for name, module in OWN_MODULES.items() if module.merges} == CHANGES_OF_WEIGHTS - {"bitfit"}


def test_costs_that_are_not_known_are_left_out() -> None:
    """Where the file does not say how many weights there are, and where attention does more."""
    shape = counted_shape(tiny("bert"))
    unsaid = shape.model_copy(update={"weights": None})
    assert "does not say how many weights" in (network_problem(unsaid) or "")
    assert costs(unsaid, None).keys().isdisjoint({"model_parameters", "flops"})
    assert "not counted" in (network_problem(counted_shape(tiny("deberta-v2"))) or "")
