"""One study's configurations in another study's parameters."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.backbones import BackboneShape
from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.studies.layers import with_layers
from service.studies.parameter_mapping import (
    StudySpace,
    layer_at_same_depth,
    map_parameterizations,
    shared_parameters,
)


def space(
    *parameters: dict[str, Any],
    layers: int = 12,
    hidden_size: int = 384,
    preset: PresetName | None = None,
    **peft: Any,
) -> StudySpace:
    shape = BackboneShape(
        model_type="bert", layers=layers, hidden_size=hidden_size, ffn_size=4 * hidden_size,
        query_size=hidden_size, key_value_size=hidden_size, max_positions=512,
    )  # fmt: skip
    own = SearchSpace.model_validate({"parameters": parameters}).parameters if parameters else ()
    search_space = SearchSpace(parameters=(*(expand_preset(preset, shape=shape) if preset else ()), *own))
    base = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})
    return StudySpace(search_space, with_layers(base, shape, search_space=search_space), shape)


def mapped(values: Parameterization, source: StudySpace, target: StudySpace) -> Parameterization:
    (found,) = map_parameterizations([values], source=source, target=target)
    return found


def autopeft(layers: int, on: tuple[int, ...]) -> Parameterization:
    return {
        "peft.serial_adapter.bottleneck_size": 48,
        "peft.parallel_adapter.bottleneck_size": 0,
        "peft.prefix_tuning.length": 1,
        **{f"peft.active_layers.{layer}": layer in on for layer in range(layers)},
    }


RATE = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 5e-3, "log": True}
RANK = {"type": "ordinal", "name": "peft.lora.rank", "choices": [1, 4, 16]}


def test_the_same_space_is_left_as_it_is() -> None:
    """Layer for layer and size for size."""
    here = space(preset=PresetName.AUTOPEFT)
    values = autopeft(12, (0, 5, 11))
    assert mapped(values, here, here) == values


def test_twelve_layers_are_read_by_six_and_six_by_twelve() -> None:
    """The upper half stays the upper half."""
    twelve, six = space(preset=PresetName.AUTOPEFT), space(preset=PresetName.AUTOPEFT, layers=6)
    assert mapped(autopeft(12, tuple(range(6, 12))), twelve, six) == autopeft(6, (3, 4, 5))
    assert mapped(autopeft(6, (3, 4, 5)), six, twelve) == autopeft(12, tuple(range(6, 12)))


@given(st.sets(st.integers(0, 5)))
def test_a_shallow_study_survives_the_way_to_a_deep_one_and_back(on: set[int]) -> None:
    """Every layer has come home."""
    six, twelve = space(preset=PresetName.AUTOPEFT, layers=6), space(preset=PresetName.AUTOPEFT)
    values = autopeft(6, tuple(on))
    assert mapped(mapped(values, six, twelve), twelve, six) == values


def test_depth_is_in_range_and_in_order() -> None:
    """For every pair of depths; the middle of one layer is the middle of the other."""
    for layers, of in itertools.product(range(1, 30), repeat=2):
        found = [layer_at_same_depth(layer, layers=layers, of=of) for layer in range(layers)]
        assert found == sorted(found)
        assert 0 <= found[0] <= found[-1] < of
        assert layers != of or found == list(range(layers))


def test_the_first_active_layer_is_scaled() -> None:
    """Its value is a layer, unlike every other number."""

    def first(layers: int) -> StudySpace:
        return space(
            {"type": "int", "name": "peft.first_active_layer", "low": 0, "high": layers - 1}, layers=layers
        )

    for value, expected in ((0, 0), (6, 3), (9, 5), (11, 5)):
        assert mapped({"peft.first_active_layer": value}, first(12), first(6)) == {
            "peft.first_active_layer": expected
        }


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (3, 4), (8, 4), (64, 16)])
def test_an_ordinal_takes_its_nearest_choice(value: int, expected: int) -> None:
    """Of two that are as near, the smaller."""
    source = space({**RANK, "choices": [1, 3, 8, 64]})
    assert mapped({"peft.lora.rank": value}, source, space(RANK)) == {"peft.lora.rank": expected}


def test_numbers_are_clipped_and_rounded() -> None:
    """A rate beyond the range takes its end; a fraction becomes a whole number."""
    wide = space({**RATE, "high": 1e-1})
    assert mapped({"training.learning_rate": 0.05}, wide, space(RATE)) == {"training.learning_rate": 5e-3}
    epochs = {"name": "training.epochs", "low": 1, "high": 9}
    found = mapped(
        {"training.epochs": 20},
        space({"type": "int", **epochs, "high": 50}),
        space({"type": "int", **epochs}),
    )
    assert found == {"training.epochs": 9}


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ({"type": "int", "low": 0, "high": 16, "step": 4}, 7, 8),
        ({"type": "int", "low": 1, "high": 15, "step": 4}, 15, 13),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.25}, 0.33, 0.25),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.3}, 1.0, 0.9),
    ],
)
def test_a_number_takes_its_nearest_step(parameter: dict[str, Any], value: float, expected: float) -> None:
    """The last one, where the step leads beyond the bound."""
    wide = {key: bound for key, bound in parameter.items() if key != "step"}
    name = "training.epochs" if parameter["type"] == "int" else "peft.lora.alpha"
    found = mapped({name: value}, space({"name": name, **wide}), space({"name": name, **parameter}))
    assert found == {name: expected}


def test_a_parameter_the_source_did_not_search_takes_the_sources_base_value() -> None:
    """That is what its trials were trained with."""
    source = space(RATE, lora={"rank": 16})
    assert mapped({"training.learning_rate": 1e-3}, source, space(RATE, RANK, lora={"rank": 1})) == {
        "training.learning_rate": 1e-3,
        "peft.lora.rank": 16,
    }


def test_conditions_are_those_of_the_target() -> None:
    """A parameter that is inactive there is left out; one that was inactive in the source has a value."""
    switch = {"type": "bool", "name": "peft.lora.key"}
    conditional = {**RANK, "when": {"parameter": "peft.lora.key", "in": [True]}}
    free, bound = space(switch, RANK), space(switch, conditional, lora={"rank": 4})
    assert mapped({"peft.lora.key": False, "peft.lora.rank": 16}, free, bound) == {"peft.lora.key": False}
    assert mapped({"peft.lora.key": False}, bound, free) == {"peft.lora.key": False, "peft.lora.rank": 4}


def test_one_size_becomes_a_size_for_each_layer() -> None:
    """A study of sizes layer by layer learns from one that had one size for all."""
    source = space({"type": "ordinal", "name": "peft.serial_adapter.bottleneck_size", "choices": [0, 8, 64]})
    by_layer = [
        {"type": "ordinal", "name": f"peft.serial_adapter.by_layer.{layer}", "choices": [0, 16, 64]}
        for layer in range(6)
    ]
    found = mapped({"peft.serial_adapter.bottleneck_size": 64}, source, space(*by_layer, layers=6))
    assert found == {parameter["name"]: 64 for parameter in by_layer}


def test_a_method_unknown_there_takes_the_targets_own() -> None:
    """A categorical has no nearest value."""

    def methods(*choices: str, **peft: Any) -> StudySpace:
        return space({"type": "categorical", "name": "peft.method", "choices": list(choices)}, **peft)

    values: Parameterization = {"peft.method": "oft"}
    target = methods("lora", "modules", method="modules")
    assert mapped(values, methods("lora", "oft"), target) == {"peft.method": "modules"}
    assert mapped(values, methods("lora", "oft"), methods("lora", "ia3")) == {"peft.method": "lora"}


def test_every_preset_maps_into_every_other() -> None:
    """Whatever comes out is legal there."""
    spaces = [space(preset=preset, layers=layers) for preset in PresetName for layers in (4, 12)]
    for source, target in itertools.product(spaces, repeat=2):
        values = map_parameterizations([_lowest(source), _highest(source)], source=source, target=target)
        parameters = {parameter.name: parameter for parameter in target.search_space.parameters}
        assert all(parameters[name].contains(value) for found in values for name, value in found.items())


def test_what_is_shared_does_not_depend_on_the_layer() -> None:
    """Switches of layers are one kind of parameter, whatever the depth."""
    twelve, six = space(preset=PresetName.AUTOPEFT), space(RATE, preset=PresetName.AUTOPEFT, layers=6)
    assert "peft.active_layers.*" in shared_parameters(twelve.search_space, six.search_space)
    assert shared_parameters(twelve.search_space, space(RATE).search_space) == set()


def _lowest(source: StudySpace) -> Parameterization:
    return _extreme(source, 0)


def _highest(source: StudySpace) -> Parameterization:
    return _extreme(source, -1)


def _extreme(source: StudySpace, end: int) -> Parameterization:
    def value(parameter: Any) -> Any:
        if parameter.type == "bool":
            return bool(end)
        if parameter.type in ("ordinal", "categorical"):
            return parameter.choices[end]
        return (parameter.low, parameter.high)[end]

    return source.search_space.active({item.name: value(item) for item in source.search_space.parameters})


def test_what_is_kept_of_a_backbone_is_the_same_share_of_another() -> None:
    """Half of twelve layers are three of six, and half of the units are half of twice as many."""
    twelve, six = (
        space(preset=PresetName.DEPTH_WIDTH),
        space(layers=6, hidden_size=768, preset=PresetName.DEPTH_WIDTH),
    )
    found = mapped(
        {"architecture.keep_layers": 6, "architecture.which": "first", "architecture.ffn_width": 768},
        twelve,
        six,
    )
    kept = {name: value for name, value in found.items() if name.startswith("architecture.")}
    assert kept == {
        "architecture.keep_layers": 3, "architecture.which": "first", "architecture.ffn_width": 1536,
        "architecture.units_by": "importance",
    }  # fmt: skip
    whole = mapped({"peft.lora.rank": 4}, space(RANK), six)
    assert (whole["architecture.keep_layers"], whole["architecture.ffn_width"]) == (6, 3072)
