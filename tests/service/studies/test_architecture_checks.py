"""A part of a backbone that cannot be kept is refused when the study is posted, with the reason."""

from typing import Any

import pytest

from api_schemas.backbones import HeadCounts, WeightCounts
from api_schemas.model_families import CUT_FAMILIES, FAMILIES, HEAD_FAMILIES
from api_schemas.trial_configuration import Quantisation
from service.errors import InvalidStudy
from service.studies.architecture_checks import architecture_errors
from service.studies.layers import with_layers
from service.studies.study_draft import StudyDraft
from service.studies.validation import validate_study
from tests.conftest import make_study_request
from tests.service.studies.drafts import SHAPE, make_draft

WIDE = SHAPE.model_copy(update={"ffn_size": 100})
SCORE = {"metric": "score", "direction": "maximize"}
SIZE = {"metric": "model_parameters", "direction": "minimize"}
FLOPS = {"metric": "flops", "direction": "minimize"}


def draft_of(*parameters: dict[str, Any], **changes: Any) -> StudyDraft:
    found = make_draft(**({"parameters": parameters} if parameters else {}), **changes)
    base = with_layers(found.configuration, found.backbone.shape, search_space=found.search_space)
    return StudyDraft(found.request, found.search_space, base, found.backbone, found.task)


def errors(*parameters: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    return [(error.pointer, error.detail) for error in architecture_errors(draft_of(*parameters, **changes))]


def layers(low: int, high: int) -> dict[str, Any]:
    return {"type": "int", "name": "architecture.keep_layers", "low": low, "high": high}


def width(*choices: int) -> dict[str, Any]:
    return {"type": "ordinal", "name": "architecture.ffn_width", "choices": list(choices)}


@pytest.mark.parametrize(
    ("architecture", "field", "detail"),
    [
        ({"keep_layers": 4}, "keep_layers", "4 layers cannot be kept: the backbone has 3"),
        ({"keep_layers": 2, "ffn_width": 40}, "ffn_width", "40 is no width of its feed-forward blocks"),
        ({"keep_layers": 2, "ffn_width": 128}, "ffn_width", "less than the whole width 100, or 100 itself"),
    ],
)
def test_a_part_that_the_backbone_does_not_have(
    architecture: dict[str, Any], field: str, detail: str
) -> None:
    """In the configuration: the field and what it may be."""
    [(pointer, found)] = errors(configuration={"architecture": architecture}, shape=WIDE)
    assert pointer == f"/configuration/architecture/{field}"
    assert detail in found


@pytest.mark.parametrize(
    ("parameter", "detail"),
    [
        (layers(0, 3), "no layer would be left: the backbone has 3, so keep a number from 1 to 3"),
        (layers(1, 5), "5 layers cannot be kept"),
        (width(32, 50, 100), "50 is no width"),
        (width(64, 160), "160 is no width"),
        (width(0, 64), "0 is no width"),
        ({**layers(32, 96), "name": "architecture.ffn_width", "step": 16}, "48 is no width"),
        ({**layers(1, 2), "type": "float"}, "1.3 layers cannot be kept"),
    ],
)
def test_a_searched_part_that_the_backbone_does_not_have(parameter: dict[str, Any], detail: str) -> None:
    """Of all values that are searched, the first that cannot be."""
    if parameter["type"] == "float":
        parameter = {**parameter, "low": 1.3}
    [(pointer, found)] = errors(parameter, shape=WIDE)
    assert pointer == "/search_space/parameters/0"
    assert detail in found


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_that_cannot_be_cut_are_refused(family: str) -> None:
    """With the reason, and with those that can; the whole backbone is always welcome."""
    shape = SHAPE.model_copy(update={"model_type": family})
    found = errors(layers(1, 3), shape=shape)
    assert [pointer for pointer, _ in found] == ([] if family in CUT_FAMILIES else ["/search_space"])
    assert all(f"no layer of a '{family}'" in detail and "bert, roberta" in detail for _, detail in found)
    assert errors(shape=shape) == []


def heads(*choices: int) -> dict[str, Any]:
    return {"type": "ordinal", "name": "architecture.heads", "choices": list(choices)}


COUNTED = WeightCounts(
    below=1, each_layer=9, above=1, each_ffn_unit=1, heads=HeadCounts(size=4, each_layer=1)
)
GROUPED_HEADS = SHAPE.model_copy(
    update={"model_type": "llama", "key_value_size": 8, "weights": COUNTED}
)  # four heads on two of keys and values


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_whose_heads_cannot_be_left_out_are_refused(family: str) -> None:
    """With the reason; in the others where their file says what goes with a head."""
    shape = SHAPE.model_copy(update={"model_type": family})
    [(pointer, detail)] = errors(heads(2, 4), shape=shape)
    assert pointer == "/search_space/parameters/0"
    assert ("does not say how many weights" in detail) == (family in HEAD_FAMILIES)
    assert family in HEAD_FAMILIES or "Take a backbone of llama, mistral, qwen3, t5" in detail
    counted = shape.model_copy(update={"weights": COUNTED})
    assert family not in HEAD_FAMILIES or errors(heads(2, 4), shape=counted) == []


@pytest.mark.parametrize(
    ("searched", "detail"),
    [
        (heads(3, 4), "3 attention heads cannot be kept: the backbone has 4"),
        (heads(2, 6), "a number from 1 to 4, a multiple of the 2 that keys and values have"),
        (heads(0, 4), "0 attention heads"),
    ],
)
def test_heads_that_the_backbone_does_not_have(searched: dict[str, Any], detail: str) -> None:
    """Grouped heads must divide."""
    [(pointer, found)] = errors(searched, shape=GROUPED_HEADS)
    assert pointer == "/search_space/parameters/0"
    assert detail in found
    assert errors(heads(2, 4), shape=GROUPED_HEADS) == []


def test_widths_and_heads_of_a_family_that_keeps_its_layers() -> None:
    """T5 cannot be cut short, but made narrower."""
    shape = SHAPE.model_copy(update={"model_type": "t5", "weights": COUNTED, "ffn_size": 64})
    assert errors(width(32, 64), heads(1, 3), shape=shape) == []
    assert len(errors(width(32, 64), layers(2, 3), shape=shape)) == 1


def group(number: int, *choices: int) -> dict[str, Any]:
    return {**width(*choices), "name": f"architecture.ffn_width_groups.{number}"}


def test_widths_by_depth_are_checked_one_by_one() -> None:
    """Each on the grid; and the method must work on layers of several widths."""
    [(pointer, detail)] = errors(group(0, 32, 100), group(1, 64, 70), shape=WIDE)
    assert (pointer, "70 is no width" in detail) == ("/search_space/parameters/1", True)
    [(pointer, detail)] = errors(
        configuration={"architecture": {"keep_layers": 3, "ffn_width_groups": [64, 70]}}, shape=WIDE
    )
    assert (pointer, "70 is no width" in detail) == ("/configuration/architecture/ffn_width_groups/1", True)
    [(pointer, detail)] = errors(
        group(0, 32, 100), group(1, 64, 100), configuration={"peft": {"method": "vera"}}, shape=WIDE
    )
    assert (pointer, "several widths" in detail) == ("/configuration/peft/method", True)


def test_quantised_weights_cannot_be_cut() -> None:
    """Whether the study quantises them or the files hold them so."""
    asked = errors(layers(1, 3), configuration={"quantisation": "4bit"})
    stored = errors(layers(1, 3), quantised=Quantisation.EIGHT_BIT)
    assert [pointer for pointer, _ in (*asked, *stored)] == [
        "/configuration/quantisation",
        "/configuration/backbone",
    ]


@pytest.mark.usefixtures("service_environment")
@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        (
            {"search_space": {"parameters": [{"type": "bool", "name": "architecture.keep_layer"}]}},
            "/search_space/parameters/0", "'architecture.keep_layers'",
        ),
        (
            {
                "search_space": {
                    "parameters": [{"type": "categorical", "name": "architecture.which", "choices": ["best"]}]
                }
            },
            "/search_space/parameters/0", "not legal there",
        ),
        (
            {
                "configuration": {
                    "backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"},
                    "peft": {"method": "boft", "library": {"block_size": 256, "ffn_in": True}},
                },
                "search_space": {"parameters": [width(1024, 1440), layers(1, 6)]},
            },
            "/configuration/peft/library/block_size", "does not divide",
        ),
    ],
)  # fmt: skip
def test_what_is_no_such_setting(changes: dict[str, Any], pointer: str, detail: str) -> None:
    """Through the whole door, on a backbone that can be cut."""
    with pytest.raises(InvalidStudy) as refused:
        validate_study(make_study_request(objectives=[SCORE], **changes), tenant_id="tnt_1")
    assert (refused.value.errors[0].pointer, detail in refused.value.errors[0].detail) == (pointer, True)


@pytest.mark.usefixtures("service_environment")
@pytest.mark.parametrize("preset", ["depth", "depth_width", "grouped", "joint"])
def test_a_study_of_architecture_is_accepted(preset: str) -> None:
    """It needs a backbone, a task and what is wanted; its shape says how many weights there are."""
    request = make_study_request(search_space={"preset": preset}, objectives=[SCORE, SIZE, FLOPS])
    study = validate_study(request, tenant_id="tnt_1")
    assert study.backbone_shape is not None
    assert study.configuration is not None
    assert study.backbone_shape.weights is not None
    assert study.configuration.architecture is not None
    assert study.configuration.architecture.keeps_everything(study.backbone_shape)
    # The largest that is searched, and a tenth more.
    assert study.reference_defaults[1] is not None
    assert study.reference_defaults[1] >= 1.1 * 22_565_378


def test_the_costs_of_a_network_of_unknown_size_are_no_metric() -> None:
    """With the reason, where the metric is named."""
    from service.studies.metric_checks import network_metric_errors

    [error] = network_metric_errors(make_draft(objectives=[SCORE, SIZE]))
    assert error.pointer == "/objectives/1/metric"
    assert "does not say how many weights" in error.detail
