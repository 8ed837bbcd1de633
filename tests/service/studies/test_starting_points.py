"""The configurations that everybody compares with, found in a search space or left out."""

from typing import Any

import pytest

from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, patch
from service.studies.layers import with_layers
from service.studies.starting_points import default_starting_points
from service.studies.validation import ValidStudy, validate_study
from tests.conftest import make_study_request
from tests.service.optimization.problems import bert_shape

SHAPE = bert_shape(12, hidden_size=768)


def found(parameters: list[dict[str, Any]] | PresetName, **peft: Any) -> list[TrialConfiguration]:
    space = (
        SearchSpace(parameters=expand_preset(parameters, shape=SHAPE))
        if isinstance(parameters, PresetName)
        else SearchSpace.model_validate({"parameters": parameters})
    )
    base = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})
    base = with_layers(base, SHAPE, search_space=space)
    points = list(default_starting_points(space, base, shape=SHAPE, learns=True))
    for point in points:
        legal = {parameter.name: parameter for parameter in space.parameters}
        assert all(legal[name].contains(value) for name, value in point.items())
        assert space.active(point) == point
    return [patch(base, point) for point in points]


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (PresetName.AUTOPEFT, ["adapter 48", "head"]),
        (PresetName.AUTOPEFT_BY_LAYER, ["adapter 48", "head"]),
        (PresetName.LORA, ["lora 8", "head"]),
        (PresetName.LORA_BY_LAYER, ["lora 8", "head"]),
        (PresetName.METHODS, ["library lora 8", "head"]),
        (PresetName.AUTO, ["lora 8", "adapter 48", "head"]),
    ],
)
def test_each_preset_yields_those_that_it_contains(preset: PresetName, expected: list[str]) -> None:
    """In their order, with every layer active, as the papers have them."""

    def words(configuration: TrialConfiguration) -> str:
        peft = configuration.peft
        if configuration.is_head_only:
            return "head"
        assert all(peft.is_active(layer) for layer in range(12))
        if peft.method == "lora":
            assert peft.library.targets == ("query", "value")
            return f"library lora {peft.library.rank}"
        if peft.lora.size_at(11):
            assert peft.lora.ranks_at(3).present() == peft.lora.ranks_at(11).present()
            assert set(peft.lora.ranks_at(3).present()) == {"query", "value"}
            return f"lora {peft.lora.ranks_at(3).query}"
        assert not peft.parallel_adapter.size_at(0) + peft.prefix_tuning.size_at(0)
        return f"adapter {peft.serial_adapter.size_at(5)}"

    sizes = [words(configuration) for configuration in found(preset)]
    if preset is PresetName.AUTOPEFT_BY_LAYER:
        # It has every second size only.
        expected = [f"adapter {found(preset)[0].peft.serial_adapter.size_at(0)}", "head"]
    assert sizes == expected


def test_a_size_that_is_missing_gives_way_to_the_nearest_but_never_to_none() -> None:
    """On a logarithmic scale: 6 is nearer to 8 than 16 is, and 0 would leave the module out."""
    rank = {"type": "ordinal", "name": "peft.lora.rank", "choices": [0, 6, 16]}
    assert [item.peft.lora.rank for item in found([rank])] == [6, 0]
    size = {"type": "ordinal", "name": "peft.serial_adapter.bottleneck_size", "choices": [0, 1]}
    assert [item.peft.serial_adapter.bottleneck_size for item in found([size])] == [1, 0]


def test_what_the_space_or_the_base_rules_out_is_no_starting_point() -> None:
    """No adapter where every trial has a LoRA as well, and no head alone where a module is always there."""
    rank = {"type": "int", "name": "peft.lora.rank", "low": 1, "high": 64, "log": True}
    assert [item.peft.lora.rank for item in found([rank])] == [8]
    size = {"type": "ordinal", "name": "peft.serial_adapter.bottleneck_size", "choices": [0, 48]}
    assert found([size], lora={"rank": 4}) == []
    rate = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2, "log": True}
    assert [item.is_head_only for item in found([rate])] == [True]


@pytest.mark.usefixtures("service_environment")
def test_they_follow_the_study_s_own_points_and_repeat_none() -> None:
    """The base configuration has no module, so a point that changes nothing is the head alone."""

    def points(**changes: Any) -> tuple[Parameterization, ...]:
        study: ValidStudy = validate_study(make_study_request(**changes), tenant_id="tnt_1")
        return study.starting_points

    assert [point["peft.serial_adapter.bottleneck_size"] for point in points()] == [24, 0]
    own, adapter = points(starting_points=[{}])
    assert own == {}
    assert adapter["peft.serial_adapter.bottleneck_size"] == 24
    assert points(proposals={"default_starting_points": False}) == ()


ARCHITECTURE = ("architecture.keep_layers", "architecture.which", "architecture.ffn_width", "peft.method")
NARROWER = [(6, None, 1152, "full"), (6, None, 768, "full"), (5, "first", 576, "full")]


@pytest.mark.usefixtures("service_environment")
@pytest.mark.parametrize(
    ("preset", "changes", "expected"),
    [
        ("depth", {}, [(6, None, None, "full"), (5, "first", None, "full"), (3, "first", None, "full")]),
        (
            "depth_width", {},
            [(6, None, 1536, "full"), (5, "first", 1536, "full"), (3, "first", 1536, "full"), *NARROWER],
        ),
        (
            "depth",
            {"peft": {"lora": {"rank": 8}}},
            [(6, None, None, None), (5, "first", None, None), (3, "first", None, None)],
        ),
        (
            "joint", {},
            [
                (6, None, 1536, "modules"), (6, None, 1536, "full"), (5, "first", 1536, "full"),
                (3, "first", 1536, "full"), *NARROWER,
            ],
        ),
    ],
)  # fmt: skip
def test_a_smaller_backbone_is_compared_with_all_of_it_and_with_the_last_layers_dropped(
    preset: str, changes: dict[str, Any], expected: list[tuple[object, ...]]
) -> None:
    """By one recipe: the base's, or full fine-tuning where it says nothing; LoRA 8 first in a joint one."""
    base = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}, **changes}
    request = make_study_request(configuration=base, search_space={"preset": preset})
    points = validate_study(request, tenant_id="tnt_1").starting_points
    read = [tuple(point.get(name) for name in ARCHITECTURE) for point in points]
    assert read[: len(expected)] == expected
    if preset != "joint":
        assert len(points) == len(expected)
    units = [point["architecture.units_by"] for point in points if "architecture.units_by" in point]
    assert units[:3] == ([] if preset == "depth" else ["magnitude", "magnitude", "importance"])


@pytest.mark.usefixtures("service_environment")
def test_groups_of_layers_begin_with_one_width() -> None:
    """Uniform widths are what several widths must beat."""
    base = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}}
    request = make_study_request(configuration=base, search_space={"preset": "grouped"})
    points = validate_study(request, tenant_id="tnt_1").starting_points
    names = [f"architecture.ffn_width_groups.{group}" for group in range(3)]
    widths = [tuple(point[name] for name in names) for point in points]
    assert widths == [(1536,) * 3] * 3 + [(1152,) * 3, (768,) * 3, (576,) * 3]


@pytest.mark.usefixtures("service_environment")
def test_what_is_not_searched_is_not_dropped_by_hand() -> None:
    """Where importance alone says which layers stay, dropping the last ones is no trial of the study."""
    depth = {"type": "int", "name": "architecture.keep_layers", "low": 2, "high": 6}
    base = {
        "backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}, "peft": {"method": "full"},
    }  # fmt: skip

    def points(**architecture: Any) -> list[object]:
        kept = {"architecture": {"keep_layers": 6, **architecture}} if architecture else {}
        request = make_study_request(configuration={**base, **kept}, search_space={"parameters": [depth]})
        found = validate_study(request, tenant_id="tnt_1").starting_points
        return [point["architecture.keep_layers"] for point in found]

    assert points() == [6]
    assert points(which="first") == [6, 5, 3]
