"""Methods and sizes that cannot work are named before anything is stored, wherever they come from."""

import pytest

from api_schemas.backbones import BackboneShape, WeightCounts
from api_schemas.presets import expand_preset
from api_schemas.search_space import PresetName
from api_schemas.trial_configuration import Quantisation
from service.studies.validation import CHECKS_OF_LEGAL_VALUES
from tests.service.studies.drafts import LEARNING_RATE, make_draft

BERT = BackboneShape(
    model_type="bert", layers=2, hidden_size=48, ffn_size=96, query_size=48, key_value_size=48,
    max_positions=512,
)  # fmt: skip
LLAMA = BERT.model_copy(update={"model_type": "llama", "key_value_size": 24})
METHODS = {"type": "categorical", "name": "peft.method", "choices": ["lora", "oft", "pissa"]}


def errors(
    peft: dict[str, object],
    *parameters: dict[str, object],
    shape: BackboneShape = BERT,
    stored: Quantisation | None = None,
    **configuration: object,
) -> list[tuple[str, str]]:
    draft = make_draft(
        configuration={"peft": peft, "training": {"max_length": 128}, **configuration},
        parameters=[LEARNING_RATE, *parameters],
        shape=shape,
        quantised=stored,
    )
    return [(error.pointer, error.detail) for check in CHECKS_OF_LEGAL_VALUES for error in check(draft)]


def ordinal(setting: str, *choices: int, when: list[str] | None = None) -> dict[str, object]:
    condition = None if when is None else {"parameter": "peft.method", "in": when}
    return {"type": "ordinal", "name": f"peft.library.{setting}", "choices": choices, "when": condition}


NEW_FAMILY = BERT.model_copy(update={"model_type": "new"})
GPT2 = BERT.model_copy(update={"model_type": "gpt2"})
METHOD, LIBRARY = "/configuration/peft/method", "/configuration/peft/library"
WEIGHED = BERT.model_copy(update={"weights": WeightCounts(below=10, each_layer=20, above=0)})
NOWHERE = {"query": False, "value": False}


@pytest.mark.parametrize(
    ("peft", "shape", "pointer", "detail"),
    [
        ({"method": "bitfit"}, LLAMA, METHOD, "biases"),
        ({"method": "ln_tuning"}, NEW_FAMILY, METHOD, "norms"),
        ({"method": "lora"}, GPT2, METHOD, "linear"),
        ({"method": "lora", "library": NOWHERE}, BERT, LIBRARY, "needs a projection"),
        ({"method": "full"}, BERT, METHOD, "does not say how many weights"),
        (
            {"method": "full", "lora": {"rank": 2}}, WEIGHED,
            "/configuration/peft/lora", "no method of this study reads this section ('full')",
        ),
        ({"method": "oft"}, BERT, f"{LIBRARY}/block_size", "32 does not divide the width 48"),
        ({"method": "boft"}, BERT, f"{LIBRARY}/block_size", "32 does not divide"),
        (
            {"method": "vblora", "library": {"block_size": 16}}, LLAMA,
            f"{LIBRARY}/block_size", "16 does not divide the width 24 of the value",
        ),
        (
            {"method": "pissa", "library": {"rank": 32}}, LLAMA,
            f"{LIBRARY}/rank", "smaller width 24 of the value",
        ),
        ({"method": "hra", "library": {"rank": 3}}, BERT, f"{LIBRARY}/rank", "even"),
        ({"method": "adalora", "library": {"rank": 1}}, BERT, f"{LIBRARY}/rank", "at least 2"),
        (
            {"method": "fourierft", "library": {"frequencies": 3000}}, BERT,
            f"{LIBRARY}/frequencies", "2304 weights",
        ),
        (
            {"method": "prompt_tuning", "library": {"virtual_tokens": 400}}, BERT,
            f"{LIBRARY}/virtual_tokens", "400 virtual tokens and a text of 128 need 528",
        ),
    ],
)  # fmt: skip
def test_a_fixed_method_that_cannot_work(
    peft: dict[str, object], shape: BackboneShape, pointer: str, detail: str
) -> None:
    """One error, at the setting to change."""
    [(found, text)] = errors(peft, shape=shape)
    assert found == pointer
    assert detail in text


def test_every_searched_value_is_tried_under_every_method() -> None:
    """The second choice of the rank is too large for PiSSA only; the base's block for OFT only."""
    found = errors({}, METHODS, ordinal("rank", 8, 64))
    assert [pointer for pointer, _ in found] == [
        "/configuration/peft/library/block_size",
        "/search_space/parameters/2",
    ]
    assert "'pissa': rank 64" in found[1][1]


def test_a_condition_keeps_a_value_from_a_method() -> None:
    """A rank that only LoRA sees may be any; under PiSSA the base's rank counts."""
    space = (METHODS, ordinal("rank", 8, 64, when=["lora"]), ordinal("block_size", 8, 16, when=["oft"]))
    assert errors({}, *space) == []
    [(pointer, _)] = errors({"library": {"rank": 64}}, *space)
    assert pointer == "/configuration/peft/library/rank"


def test_every_integer_of_a_range_is_tried() -> None:
    """The bounds divide the width, a number between them does not."""
    block = {"type": "int", "name": "peft.library.block_size", "low": 2, "high": 16}
    [(pointer, detail)] = errors({"method": "oft"}, block)
    assert pointer == "/search_space/parameters/1"
    assert "a block of 5 does not divide" in detail


def test_integers_between_the_steps_of_a_range_are_not_tried() -> None:
    """HRA needs even ranks, and a step of 2 gives no other."""
    rank = {"type": "int", "name": "peft.library.rank", "low": 2, "high": 12, "step": 2}
    assert errors({"method": "hra"}, rank) == []
    [(pointer, _)] = errors({"method": "hra"}, rank | {"step": 1})
    assert pointer == "/search_space/parameters/1"


def test_a_range_of_billions_is_not_listed() -> None:
    """It is tried up to its first value that cannot work."""
    frequencies = {"type": "int", "name": "peft.library.frequencies", "low": 2000, "high": 2**31 - 1}
    [(_, detail)] = errors({"method": "fourierft"}, frequencies)
    assert "2305 frequencies exceed the 2304 weights" in detail


def test_a_projection_that_may_be_switched_on_counts() -> None:
    """The feed-forward width is what fails, and only a search reaches it."""
    shape = BERT.model_copy(update={"ffn_size": 100})
    peft = {"method": "oft", "library": {"block_size": 16, **NOWHERE}}
    switch = {"type": "bool", "name": "peft.library.ffn_out"}
    [(_, detail)] = errors(peft, switch, shape=shape)
    assert "width 100 of the ffn_out" in detail


def test_the_longest_text_that_is_searched_counts() -> None:
    """Prompt and text share the positions."""
    length = {"type": "int", "name": "training.max_length", "low": 16, "high": 500}
    [(_, detail)] = errors({"method": "p_tuning"}, length)
    assert "a text of 500" in detail


@pytest.mark.parametrize("shape", [BERT, LLAMA, GPT2])
def test_the_preset_of_methods_always_works(shape: BackboneShape) -> None:
    """What does not fit a backbone is not in its space."""
    preset = expand_preset(PresetName.METHODS, shape=shape)
    parameters = [item.model_dump(mode="json", by_alias=True) for item in preset]
    assert errors({}, *(item for item in parameters if item["name"] != LEARNING_RATE["name"])) == []


@pytest.mark.parametrize(("stored", "asked"), [(None, "4bit"), (Quantisation.EIGHT_BIT, None)])
def test_weights_are_trained_whole_or_not_at_all(stored: Quantisation | None, asked: str | None) -> None:
    """Quantised by the study or in the files: refused at the method, with the cure."""
    [(pointer, detail)] = errors(
        {"method": "full"}, shape=WEIGHED, stored=stored, **({} if asked is None else {"quantisation": asked})
    )
    assert pointer == METHOD
    assert detail.startswith("'full' trains the weights, ")
    assert ("leave 'quantisation' out" if asked else "take whole weights") in detail


@pytest.mark.parametrize(
    ("method", "refused"), [("dora", True), ("hra", True), ("lora", False), ("ia3", False)]
)
def test_methods_that_compute_with_frozen_weights_need_them_whole(method: str, refused: bool) -> None:
    """A quantised backbone has no such weights; methods that only call its layers work on it."""
    found = errors({"method": method}, quantisation="4bit")
    assert any("cannot be quantised" in detail for _, detail in found) == refused


def test_a_division_must_divide_every_bottleneck_that_is_searched() -> None:
    """It is tried up to the first size that it does not divide, and cannot be searched itself."""
    size = {"type": "int", "name": "peft.compacter.bottleneck_size", "low": 0, "high": 60000}
    [(pointer, detail)] = errors({}, size)
    assert (pointer, "1 among them" in detail) == ("/configuration/peft/compacter/division", True)
    assert errors({}, size | {"step": 4}) == []
    [(_, detail)] = errors({"compacter": {"division": 5}}, size | {"step": 5})
    assert "hidden size 48" in detail
    division = {"type": "ordinal", "name": "peft.compacter.division", "choices": [2, 4]}
    assert [detail for _, detail in errors({"compacter": {"bottleneck_size": 8}}, division)] == [
        "'peft.compacter.division' cannot be searched; fix it"
    ]
