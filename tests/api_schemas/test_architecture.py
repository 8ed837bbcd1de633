"""A part of a backbone has one spelling, and what a trial trains is said of that part."""

from typing import Any

import pytest
from pydantic import ValidationError

from api_schemas.architecture import Architecture, depth_caution, kept_shape
from api_schemas.backbones import BackboneShape, HeadCounts, WeightCounts
from api_schemas.peft.counts import trainable_parameters
from api_schemas.peft.description import describe_modules
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch

SHAPE = BackboneShape(
    model_type="bert", layers=4, hidden_size=16, ffn_size=64, query_size=16, key_value_size=16,
    max_positions=64, weights=WeightCounts(
        below=100, each_layer=3000, above=7, each_ffn_unit=33, heads=HeadCounts(size=8, each_layer=512)
    ),
)  # fmt: skip


def configuration(architecture: dict[str, Any] | None, **peft: Any) -> TrialConfiguration:
    return TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": peft, "architecture": architecture}
    )


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"keep_layers": 0}, "no layer would be left"),
        ({"keep_layers": 2, "heads": 0}, "no attention head would be left"),
        ({"keep_layers": 2, "heads": True}, "valid integer"),
        ({"keep_layers": 2, "ffn_width": 32, "ffn_width_groups": [32, 64]}, "not both"),
        ({"keep_layers": 2, "ffn_width_groups": [32]}, "at least 2 items"),
        ({"keep_layers": 2, "units_by": "chance"}, "'importance' or 'magnitude'"),
        ({"keep_layers": 2, "which": "middle"}, "'importance', 'first' or 'last'"),
        ({"keep_layers": 2, "ffn_width": 0}, "greater than or equal to 1"),
        ({"keep_layers": "two"}, "valid integer"),
        ({}, "required"),
        ("half", "dictionary"),
    ],
)
def test_what_is_no_architecture_is_refused(given: Any, detail: str) -> None:
    """Whatever the backbone: the sentence says what is wrong."""
    with pytest.raises(ValidationError, match=detail):
        Architecture.model_validate(given)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        ({"keep_layers": 4}, None),
        ({"keep_layers": 4, "which": "first", "ffn_width": 64}, None),
        ({"keep_layers": 4, "which": "last", "ffn_width": 32}, {"keep_layers": 4, "ffn_width": 32}),
        ({"keep_layers": 3, "which": "first", "ffn_width": 64}, {"keep_layers": 3, "which": "first"}),
        ({"keep_layers": 4, "ffn_width_groups": [64, 64], "units_by": "magnitude"}, None),
        ({"keep_layers": 4, "ffn_width_groups": [32, 32]}, {"keep_layers": 4, "ffn_width": 32}),
        ({"keep_layers": 1, "ffn_width_groups": [32, 64, 8]}, {"keep_layers": 1, "ffn_width": 32}),
        (
            {"keep_layers": 2, "ffn_width_groups": [32, 64, 8]},
            {"keep_layers": 2, "ffn_width_groups": [32, 64, 64]},
        ),
        ({"keep_layers": 3, "units_by": "magnitude"}, {"keep_layers": 3}),
        ({"keep_layers": 4, "heads": 2}, None),
        ({"keep_layers": 4, "heads": 1}, {"keep_layers": 4, "heads": 1}),
    ],
)
def test_one_spelling(given: dict[str, Any] | None, kept: dict[str, Any] | None) -> None:
    """What keeps everything says nothing, and so does the order in which nothing is dropped."""
    found = canonical(configuration(given), shape=SHAPE)
    assert found.architecture == (None if kept is None else Architecture.model_validate(kept))
    assert canonical(found, shape=SHAPE) == found
    assert ("architecture" in found.model_dump()) == (kept is not None)


LISTED = {"active_layers": [True, False, True, True]}


@pytest.mark.parametrize(
    ("peft", "active"),
    [
        ({"lora": {"rank": 2}, **LISTED}, (True, False, False, False)),
        ({"lora": {"by_layer": [{"query": 2}, {}, {"query": 2}, {"query": 3}]}}, (True, False, False, False)),
        ({"method": "full", **LISTED, "first_active_layer": 1}, (False, False, False, False)),
        ({"method": "full", **LISTED}, (True, True, False, False)),
        ({"method": "prompt_tuning", **LISTED}, (True, True, False, False)),
    ],
)
def test_layers_are_those_that_are_kept(peft: dict[str, Any], active: tuple[bool, ...]) -> None:
    """Lists have an entry for each layer of the backbone; what lies beyond the kept ones does not matter."""
    found = canonical(configuration({"keep_layers": 2}, **peft), shape=SHAPE)
    assert found.peft.active_layers == active
    assert canonical(found, shape=SHAPE) == found
    other = {**peft, "active_layers": [*peft.get("active_layers", [True] * 2)[:2], True, False]}
    assert canonical(configuration({"keep_layers": 2}, **other), shape=SHAPE) == found


def test_ranks_by_layer_of_what_is_kept_stay() -> None:
    """The list is as long as it was, and off beyond."""
    ranks = [{"query": 1}, {"query": 2}, {"query": 3}, {"query": 4}]
    found = canonical(configuration({"keep_layers": 2}, lora={"by_layer": ranks})).peft.lora
    assert found.by_layer is not None
    assert [entry.query for entry in found.by_layer] == [1, 2, 0, 0]


def test_the_shape_of_what_is_kept() -> None:
    """Of the same again, it is the same: a worker that has cut the network already counts as the service."""
    architecture = Architecture(keep_layers=3, ffn_width=32, heads=1)
    kept = kept_shape(SHAPE, architecture)
    assert (kept.layers, kept.ffn_size, kept.query_size, kept.key_value_size) == (3, 32, 8, 8)
    assert kept.weights is not None
    assert kept.weights.each_layer == 3000 - 32 * 33 - 512
    assert kept_shape(kept, architecture) == kept
    assert kept_shape(SHAPE, None) is SHAPE


@pytest.mark.parametrize(
    ("peft", "expected"),
    [
        ({"method": "full"}, 100 + 2 * (3000 - 32 * 33) + 7),
        ({"method": "full", "active_layers": [False, True, True, True]}, 3000 - 32 * 33 + 7),
        ({"lora": {"rank": 2, "query": False, "value": False, "ffn_in": True}}, 2 * 2 * (16 + 32)),
        ({"serial_adapter": {"bottleneck_size": 1}}, 2 * (16 + 1 + 16 + 16)),
    ],
)
def test_trained_scalars_are_those_of_the_smaller_network(peft: dict[str, Any], expected: int) -> None:
    """Two of four layers, each half as wide."""
    smaller = configuration({"keep_layers": 2, "ffn_width": 32}, **peft)
    assert trainable_parameters(smaller, shape=SHAPE, classes=2) == expected + 16 * 2 + 2


def test_a_rate_by_the_method_s_own_asks_what_the_kept_layers_carry() -> None:
    """A module that only a dropped layer has is nowhere: the rate is that of the head alone."""
    only_above = {"lora": {"rank": 2}, "active_layers": [False, False, True, True]}
    base = configuration({"keep_layers": 4}, **only_above)
    rates = [
        patch(
            base, {"architecture.keep_layers": kept, "training.learning_rate_factor": 1.0}
        ).training.learning_rate
        for kept in (4, 2)
    ]
    assert rates == [4e-4, 1e-2]


@pytest.mark.parametrize(
    ("architecture", "peft", "words"),
    [
        (
            {"keep_layers": 2, "which": "first", "ffn_width": 32},
            {"scale_shift": {"on": True}, "active_layers": [True] * 4},
            "scale and shift on all 2 layers; keeps the first 2 of 4 layers, 32 feed-forward units in each",
        ),
        (
            {"keep_layers": 3},
            {"method": "full"},
            "full fine-tuning on all layers; keeps the 3 most important layers",
        ),
        (
            {"keep_layers": 4, "ffn_width_groups": [64, 32], "units_by": "magnitude", "heads": 1},
            {"active_layers": [True] * 4},
            "head only (linear probe); keeps all 4 layers, 64, 32 feed-forward units by depth "
            "(by the size of their weights), 1 attention heads in each",
        ),
        (
            {"keep_layers": 1, "which": "last"},
            {"active_layers": [True] * 4},
            "head only (linear probe); keeps the last 1 of 4 layers",
        ),
        (
            {"keep_layers": 4, "ffn_width": 32},
            {"active_layers": [True] * 4},
            "head only (linear probe); keeps all 4 layers, 32 feed-forward units in each",
        ),
    ],
)
def test_the_part_is_said_in_words(architecture: dict[str, Any], peft: dict[str, Any], words: str) -> None:
    """A trial's description names what is left of the network."""
    assert describe_modules(configuration(architecture, **peft)) == words


@pytest.mark.parametrize(
    ("family", "kept", "warned"),
    [("llama", 2, True), ("llama", 3, False), ("llama", None, False), ("bert", 1, False)],
)
def test_a_decoder_that_has_lost_many_layers_comes_with_a_word(
    family: str, kept: int | None, warned: bool
) -> None:
    """Below three quarters of its depth; encoders write nothing."""
    architecture = None if kept is None else Architecture(keep_layers=kept)
    caution = depth_caution(architecture, SHAPE.model_copy(update={"model_type": family}))
    assert (caution is not None and "2 of 4 layers" in caution) == warned
