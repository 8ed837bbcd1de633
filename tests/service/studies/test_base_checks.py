"""A base configuration that its backbone or its task cannot serve is refused where it is wrong."""

from typing import Any

import pytest

from api_schemas.trial_configuration import Quantisation
from service.studies.base_checks import (
    distillation_errors,
    layer_errors,
    overridden_size_errors,
    quantisation_errors,
    task_errors,
)
from tests.service.studies.drafts import make_draft

CHECKS = (distillation_errors, layer_errors, overridden_size_errors, quantisation_errors, task_errors)
SIZE = {"type": "ordinal", "name": "peft.serial_adapter.bottleneck_size", "choices": [0, 4]}


@pytest.mark.parametrize(
    ("configuration", "field", "detail"),
    [
        ({"peft": {"active_layers": [True]}}, "peft/active_layers", "3 layers, not 1"),
        ({"peft": {"lora": {"by_layer": [{}]}}}, "peft/lora/by_layer", "3 layers, not 1"),
        ({"peft": {"first_active_layer": 3}}, "peft/first_active_layer", "layers 0 to 2"),
        ({"quantisation": "4bit"}, "quantisation", "the files of 'b' are in 8bit already"),
        ({"training": {"max_length": 65}}, "training/max_length", "reads at most 64 tokens"),
        ({"task": {"name": "t", "test_rows": 11}}, "task/test_rows", "the test split of 't' has 10 rows"),
        ({"task": {"name": "t", "train_rows": 1}}, "task/train_rows", "'t' has 2 classes"),
    ],
)
def test_what_cannot_work_is_named(configuration: dict[str, Any], field: str, detail: str) -> None:
    """One error, with the field to change and the reason."""
    draft = make_draft(configuration=configuration, quantised=Quantisation.EIGHT_BIT)
    [error] = [error for check in CHECKS for error in check(draft)]
    assert error.pointer == f"/configuration/{field}"
    assert detail in error.detail


def test_a_size_that_a_list_by_layer_overrides_is_not_searched() -> None:
    """Every trial would be the same."""
    peft = {"serial_adapter": {"by_layer": [1, 2, 3]}}
    [error] = overridden_size_errors(make_draft(configuration={"peft": peft}, parameters=[SIZE]))
    assert (error.pointer, "no effect" in error.detail) == ("/search_space", True)
    assert list(overridden_size_errors(make_draft(parameters=[SIZE]))) == []


def test_a_teacher_on_quantised_weights_is_refused() -> None:
    """It trains all of them, whether the study quantises them or the files hold them so."""
    training = {"distillation": {}}
    asked = make_draft(configuration={"quantisation": "8bit", "training": training})
    stored = make_draft(configuration={"training": training}, quantised=Quantisation.FOUR_BIT)
    for draft in (asked, stored):
        [error] = distillation_errors(draft)
        assert error.pointer == "/configuration/training/distillation"
        assert "every weight" in error.detail
    assert list(distillation_errors(make_draft(configuration={"training": training}))) == []
