"""Methods and sizes that cannot work are named before anything is stored, wherever they come from."""

import pytest

from api_schemas.backbones import BackboneShape
from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameter, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.studies.method_checks import method_errors

BERT = BackboneShape(
    model_type="bert", layers=2, hidden_size=48, ffn_size=96, query_size=48, key_value_size=48,
    max_positions=512,
)  # fmt: skip
LLAMA = BERT.model_copy(update={"model_type": "llama", "key_value_size": 24})
LEARNING_RATE = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2}
METHODS = {"type": "categorical", "name": "peft.method", "choices": ["lora", "oft", "pissa"]}


def errors(
    peft: dict[str, object],
    *parameters: dict[str, object],
    shape: BackboneShape = BERT,
    training: dict[str, object] | None = None,
) -> list[tuple[str, str]]:
    configuration = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": peft, "training": training or {}}
    )
    space = SearchSpace.model_validate({"parameters": [LEARNING_RATE, *parameters]})
    pointers = {parameter.name: f"/p/{number}" for number, parameter in enumerate(space.parameters)}
    found = method_errors(configuration, space, shape=shape, pointers=pointers)
    return [(error.pointer, error.detail) for error in found]


def ordinal(setting: str, *choices: int, when: list[str] | None = None) -> dict[str, object]:
    condition = None if when is None else {"parameter": "peft.method", "in": when}
    return {"type": "ordinal", "name": f"peft.library.{setting}", "choices": choices, "when": condition}


NEW_FAMILY = BERT.model_copy(update={"model_type": "new"})
GPT2 = BERT.model_copy(update={"model_type": "gpt2"})
METHOD, LIBRARY = "/configuration/peft/method", "/configuration/peft/library"
NOWHERE = {"query": False, "value": False}


@pytest.mark.parametrize(
    ("peft", "shape", "pointer", "detail"),
    [
        ({"method": "bitfit"}, LLAMA, METHOD, "biases"),
        ({"method": "ln_tuning"}, NEW_FAMILY, METHOD, "norms"),
        ({"method": "lora"}, GPT2, METHOD, "linear"),
        ({"method": "lora", "library": NOWHERE}, BERT, LIBRARY, "needs a projection"),
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
    assert [pointer for pointer, _ in found] == ["/configuration/peft/library/block_size", "/p/2"]
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
    assert pointer == "/p/1"
    assert "a block of 5 does not divide" in detail


def test_integers_between_the_steps_of_a_range_are_not_tried() -> None:
    """HRA needs even ranks, and a step of 2 gives no other."""
    rank = {"type": "int", "name": "peft.library.rank", "low": 2, "high": 12, "step": 2}
    assert errors({"method": "hra"}, rank) == []
    [(pointer, _)] = errors({"method": "hra"}, rank | {"step": 1})
    assert pointer == "/p/1"


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
    parameters: tuple[Parameter, ...] = expand_preset(PresetName.METHODS, shape=shape)
    configuration = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}})
    space = SearchSpace(parameters=parameters)
    pointers = {parameter.name: "/search_space" for parameter in parameters}
    assert list(method_errors(configuration, space, shape=shape, pointers=pointers)) == []


@pytest.mark.parametrize(
    ("method", "refused"), [("dora", True), ("hra", True), ("lora", False), ("ia3", False)]
)
def test_methods_that_compute_with_frozen_weights_need_them_whole(method: str, refused: bool) -> None:
    """A quantised backbone has no such weights; what only calls its layers is welcome."""
    configuration = TrialConfiguration.model_validate(
        {"backbone": "b", "quantisation": "4bit", "task": {"name": "t"}, "peft": {"method": method}}
    )
    space = SearchSpace.model_validate({"parameters": [LEARNING_RATE]})
    found = [error.detail for error in method_errors(configuration, space, shape=BERT, pointers={})]
    assert any("cannot be quantised" in detail for detail in found) == refused
