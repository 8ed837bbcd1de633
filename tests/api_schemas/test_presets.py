"""The presets are the published spaces, for a backbone of any shape."""

import pytest

from api_schemas.architecture_presets import widths
from api_schemas.backbones import BackboneShape, WeightCounts
from api_schemas.presets import bottleneck_sizes, expand_preset
from api_schemas.search_space import (
    CategoricalParameter,
    IntParameter,
    OrdinalParameter,
    PresetName,
    SearchSpace,
)
from api_schemas.trial_configuration import TrialConfiguration


def shape(*, layers: int, hidden_size: int) -> BackboneShape:
    return BackboneShape(
        model_type="bert",
        layers=layers,
        hidden_size=hidden_size,
        ffn_size=4 * hidden_size,
        query_size=hidden_size,
        key_value_size=hidden_size,
        max_positions=512,
    )


def test_autopeft_at_bert_base_is_the_papers_space() -> None:
    """Three sizes of eleven values and twelve switches: 11^3 x 2^12 = 5,451,776 configurations."""
    parameters = expand_preset(PresetName.AUTOPEFT, shape=shape(layers=12, hidden_size=768))
    sizes = [parameter for parameter in parameters if isinstance(parameter, OrdinalParameter)]
    assert [size.choices for size in sizes] == [(0, 1, 3, 6, 12, 24, 48, 96, 192, 384, 768)] * 3
    assert len(parameters) == 15
    assert 11**3 * 2**12 == 5_451_776


@pytest.mark.parametrize(
    ("hidden_size", "expected"),
    [
        (1024, (0, 1, 4, 8, 16, 32, 64, 128, 256, 512, 1024)),
        (384, (0, 1, 3, 6, 12, 24, 48, 96, 192, 384)),
        (8, (0, 1, 2, 4, 8)),
    ],
)
def test_sizes_fit_any_width(hidden_size: int, expected: tuple[int, ...]) -> None:
    """Halving ends at 1 whatever the width, and 0 leaves the module out."""
    assert bottleneck_sizes(hidden_size) == expected


@pytest.mark.parametrize("preset", list(PresetName))
@pytest.mark.parametrize("layers", [1, 6, 25])
def test_every_preset_is_a_legal_space(preset: PresetName, layers: int) -> None:
    """Presets pass the same checks as a user's own parameters, and reach every layer, at any depth."""
    space = SearchSpace(parameters=expand_preset(preset, shape=shape(layers=layers, hidden_size=64)))
    names = [parameter.name.split(".") for parameter in space.parameters]
    reached = {int(part) for name in names for part in name if part.isdigit() and name[0] == "peft"}
    assert reached == (set() if preset in RECIPE_OF_THE_BASE else set(range(layers)))


RECIPE_OF_THE_BASE = (PresetName.DEPTH, PresetName.DEPTH_WIDTH, PresetName.GROUPED)


WHOLE = WeightCounts(below=10, each_layer=20, above=0)


@pytest.mark.parametrize(
    ("family", "changes", "quantised", "left_out"),
    [
        ("bert", {}, False, set()),
        ("bert", {}, True, {"dora", "pissa", "full"}),
        ("bert", {"weights": None}, False, {"full"}),
        ("llama", {}, False, {"bitfit"}),
        ("gpt2", {}, False, {"rslora", "dora", "pissa"}),
        ("gpt2", {}, True, {"rslora", "dora", "pissa", "full"}),
    ],
)
def test_auto_leaves_out_what_cannot_work(
    family: str, changes: dict[str, object], quantised: bool, left_out: set[str]
) -> None:
    """By family, by what is known of the weights, and by whether they are whole; settings go along."""
    whole = shape(layers=2, hidden_size=64).model_copy(
        update={"model_type": family, "weights": WHOLE, **changes}
    )
    parameters = expand_preset(PresetName.AUTO, shape=whole, quantised=quantised)
    space = SearchSpace(parameters=parameters).by_name
    method = space["peft.method"]
    assert isinstance(method, CategoricalParameter)
    everything = {"modules", "rslora", "dora", "pissa", "bitfit", "head_only", "full"}
    assert set(method.choices) == everything - left_out
    assert ("peft.first_active_layer" in space) == ("full" not in left_out)
    assert ("peft.library.rank" in space) == ("rslora" not in left_out)
    assert "training.learning_rate" not in space


def test_ranks_of_auto_fit_the_narrowest_projection() -> None:
    """PiSSA takes no rank above either width, and shares its ranks with the others."""
    narrow = shape(layers=2, hidden_size=8).model_copy(update={"key_value_size": 4})
    rank = SearchSpace(parameters=expand_preset(PresetName.AUTO, shape=narrow)).by_name["peft.library.rank"]
    assert isinstance(rank, OrdinalParameter)
    assert rank.choices == (1, 2, 4)


@pytest.mark.parametrize(
    ("ffn_size", "expected"),
    [
        (1536, (384, 576, 768, 960, 1152, 1344, 1536)),
        (1000, (256, 384, 512, 640, 736, 864, 1000)),
        (96, (32, 64, 96)),
        (8, (8,)),
    ],
)
def test_widths_lie_on_the_grid(ffn_size: int, expected: tuple[int, ...]) -> None:
    """Even steps from a quarter on, each a multiple of 32; the whole width whatever it is."""
    assert widths(ffn_size) == expected


@pytest.mark.parametrize(
    ("configuration", "recipe"),
    [
        ({}, {"peft.method", "training.learning_rate_factor"}),
        ({"training": {"learning_rate": 2e-5}}, {"peft.method"}),
        ({"peft": {"method": "head_only"}}, set()),
        ({"peft": {"lora": {"rank": 4}}}, set()),
    ],
)
def test_a_recipe_is_the_configuration_s_where_it_has_one(
    configuration: dict[str, object], recipe: set[str]
) -> None:
    """Where it says nothing, every weight is trained at the rate that is usual for that."""
    base = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, **configuration})
    parameters = expand_preset(PresetName.DEPTH, shape=shape(layers=12, hidden_size=64), base=base)
    names = {parameter.name for parameter in parameters}
    assert names - recipe == {"architecture.keep_layers", "architecture.which"}
    assert recipe <= names
    assert all(parameter.is_constant for parameter in parameters if parameter.name in recipe)


def test_a_joint_search_has_no_value_that_the_smallest_network_cannot_take() -> None:
    """Ranks fit the narrowest block, and partial fine-tuning begins at a layer that is always there."""
    whole = shape(layers=12, hidden_size=128).model_copy(update={"ffn_size": 128, "weights": WHOLE})
    space = SearchSpace(parameters=expand_preset(PresetName.JOINT, shape=whole)).by_name
    rank, first = space["peft.library.rank"], space["peft.first_active_layer"]
    assert isinstance(rank, OrdinalParameter)
    assert isinstance(first, IntParameter)
    assert (rank.choices[-1], first.high) == (32, 2)
    flat = whole.model_copy(update={"layers": 1})
    alone = SearchSpace(parameters=expand_preset(PresetName.JOINT, shape=flat)).by_name
    assert "architecture.which" not in alone
