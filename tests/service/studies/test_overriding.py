"""A client's parameters win over those of a preset, and what hung on the preset's follows or falls away."""

from typing import Any

from api_schemas.presets import expand_preset
from api_schemas.search_space import PresetName, SearchSpace, SearchSpaceRequest
from service.studies.overriding import overridden
from tests.service.studies.drafts import SHAPE


def space(preset: PresetName, *posted: dict[str, Any]) -> SearchSpace:
    own = SearchSpaceRequest.model_validate({"preset": preset, "parameters": posted}).parameters
    return SearchSpace(parameters=overridden(expand_preset(preset, shape=SHAPE), own))


def test_a_parameter_without_conditions_on_it_comes_after_the_preset() -> None:
    """The client's in the place of the preset's of the same name, behind all others."""
    rank = {"type": "ordinal", "name": "peft.lora.rank", "choices": [2, 3]}
    names = list(space(PresetName.LORA, rank).by_name)
    assert names[-1] == "peft.lora.rank"
    assert len(names) == len(space(PresetName.LORA).by_name)


def test_fewer_methods_take_their_settings_along() -> None:
    """The choice stands first, and conditions wait for what is left of it."""
    method = {"type": "categorical", "name": "peft.method", "choices": ["modules", "dora"]}
    found = space(PresetName.AUTO, method).by_name
    assert next(iter(found)) == "peft.method"
    when = found["peft.library.rank"].when
    assert when is not None
    assert when.values == ("dora",)
    lone = space(PresetName.AUTO, {**method, "choices": ["bitfit", "head_only"]}).by_name
    assert [name for name in lone if not name.startswith("peft.active_layers")] == [
        "peft.method", "training.learning_rate_factor",
    ]  # fmt: skip


def test_what_hangs_on_what_fell_away_falls_away_too() -> None:
    """Targets of LoRA wait for its rank, and that for the method."""
    method = {"type": "categorical", "name": "peft.method", "choices": ["rslora"]}
    assert not any(name.startswith("peft.lora.") for name in space(PresetName.AUTO, method).by_name)


def test_a_rate_of_the_client_replaces_the_factor_and_the_other_way_round() -> None:
    """Both set the same; one of them is enough."""
    rate = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2, "log": True}
    factor = {**rate, "name": "training.learning_rate_factor", "low": 0.5, "high": 2}
    alpha = {"type": "ordinal", "name": "peft.lora.alpha", "choices": [8, 16]}
    found = space(PresetName.AUTO, rate, alpha).by_name
    assert {"training.learning_rate", "peft.lora.alpha", "peft.library.alpha_per_rank"} <= found.keys()
    assert not {"training.learning_rate_factor", "peft.lora.alpha_per_rank"} & found.keys()
    assert "training.learning_rate" not in space(PresetName.LORA, factor).by_name
