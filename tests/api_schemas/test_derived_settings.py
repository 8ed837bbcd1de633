"""Multiples are multiplied out: a worker sees a rate and an alpha, and one configuration has one identity."""

import pytest
from pydantic import ValidationError

from api_schemas.peft.learning_rates import default_learning_rate
from api_schemas.peft.registry import Peft
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch, read, settings_of

FACTOR = "training.learning_rate_factor"
BASE = TrialConfiguration.model_validate(
    {"backbone": "b", "task": {"name": "t"}, "peft": {"active_layers": [True, True]}}
)


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [
        ({"peft.method": "full"}, 6e-5),
        ({"peft.method": "pissa"}, 2e-4),
        ({"peft.method": "head_only"}, 2e-2),
        ({"peft.method": "vera"}, 2e-3),
        ({}, 2e-2),
        ({"peft.lora.rank": 4}, 8e-4),
        ({"peft.lora.rank": 4, "peft.serial_adapter.bottleneck_size": 8}, 8e-4),
        ({"peft.prefix_tuning.length": 4, "peft.parallel_adapter.bottleneck_size": 8}, 2e-4),
        ({"peft.lora.rank": 4, "peft.active_layers.0": False, "peft.active_layers.1": False}, 2e-2),
    ],
)
def test_a_factor_multiplies_the_rate_of_what_is_trained(parameters: Parameterization, rate: float) -> None:
    """Of a union the smallest; of modules that are nowhere that of the head; no rounding is seen."""
    assert patch(BASE, {FACTOR: 2.0, **parameters}).training.learning_rate == rate


def test_a_configuration_holds_the_product_and_not_the_factor() -> None:
    """Two spellings of one rate are one configuration, whatever the base had."""
    other = patch(BASE, {"training.learning_rate": 5e-3})
    configuration = patch(other, {FACTOR: 0.5, "peft.lora.rank": 4})
    assert "factor" not in configuration.model_dump_json()
    spelled = patch(BASE, {"training.learning_rate": 2e-4, "peft.lora.rank": 4})
    assert canonical(configuration) == canonical(spelled)


def test_alpha_follows_the_rank() -> None:
    """Twice the rank, whatever it is; a module that is absent keeps its alpha, and so do ranks by layer."""
    tied: Parameterization = {"peft.lora.alpha_per_rank": 2.0}
    alphas = [patch(BASE, {**tied, "peft.lora.rank": rank}).peft.lora.alpha for rank in (0, 1, 64)]
    assert alphas == [16, 2, 128]
    library: Parameterization = {
        "peft.method": "dora", "peft.library.rank": 32, "peft.library.alpha_per_rank": 0.5,
    }  # fmt: skip
    assert patch(BASE, library).peft.library.alpha == 16
    by_layer = patch(BASE, {}).model_copy(
        update={"peft": Peft.model_validate({"lora": {"rank": 2, "by_layer": [{"query": 2}, {}]}})}
    )
    assert patch(by_layer, tied).peft.lora.alpha == 16


def test_reading_is_the_inverse() -> None:
    """What `patch` would have to set."""
    values: Parameterization = {
        "peft.method": "pissa", "peft.library.rank": 4, "peft.library.alpha_per_rank": 2.0, FACTOR: 0.25,
    }  # fmt: skip
    assert read(patch(BASE, values), values) == pytest.approx(values)
    assert FACTOR in set(settings_of(BASE))


@pytest.mark.parametrize("value", ["fast", True, -1.0, 0, 1e9, 1e308])
def test_what_leads_to_no_legal_setting_is_refused(value: float | str) -> None:
    """As at the setting itself: text, a bool, no positive rate, a rate above 1, more than a number can be."""
    with pytest.raises(ValidationError):
        patch(BASE, {FACTOR: value})


def test_the_most_delicate_module_sets_the_rate_of_a_union() -> None:
    """MAM: a wide parallel adapter and a prefix."""
    union = Peft.model_validate(
        {"parallel_adapter": {"bottleneck_size": 192}, "prefix_tuning": {"length": 30}}
    )
    assert default_learning_rate(union) == default_learning_rate(
        Peft.model_validate({"parallel_adapter": {"bottleneck_size": 1}})
    )
