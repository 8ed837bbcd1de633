"""A wrong name brings forth the one that was meant, and nothing where none is near."""

import pytest

from api_schemas.near_names import MOST_COMPARED, did_you_mean, meant, near_names
from api_schemas.trial_configuration import TrialConfiguration, settings_of

SETTINGS = tuple(
    settings_of(
        TrialConfiguration.model_validate(
            {"backbone": "b", "task": {"name": "t"}, "peft": {"active_layers": [True, True]}}
        )
    )
)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("training.lr", "training.learning_rate"),
        ("training.lrate", "training.learning_rate"),
        ("training.learningRate", "training.learning_rate"),
        ("learning_rate", "training.learning_rate"),
        ("training.wd", "training.weight_decay"),
        ("training.epoch", "training.epochs"),
        ("peft.lora.r", "peft.lora.rank"),
        ("peft.lora_rank", "peft.lora.rank"),
        ("peft.active_layer.3", "peft.active_layers.0"),
        ("peft.serial_adapter.bottleneck", "peft.serial_adapter.bottleneck_size"),
    ],
)
def test_a_setting_is_found_by_what_people_write(wrong: str, right: str) -> None:
    """Abbreviations, other spellings, a step too few."""
    assert near_names(wrong, SETTINGS)[0] == right


@pytest.mark.parametrize("wrong", ["foo.bar", "training.dropout", "", "学", "." * 500, "x" * 100_000])
def test_nothing_is_suggested_where_nothing_is_near(wrong: str) -> None:
    """A wrong suggestion is worse than none, and a long word costs no time."""
    assert near_names(wrong, SETTINGS) == ()
    assert meant(wrong, SETTINGS) == ""


def test_without_a_near_one_the_names_are_listed() -> None:
    """The first of them, where they are many."""
    assert did_you_mean("q", ["a", "b"]) == "There are: 'a', 'b'."
    assert did_you_mean("q", ["a"]) == "There is: 'a'."
    assert did_you_mean("q", []) == "Nothing may stand there."
    assert did_you_mean("q", [f"name{number}" for number in range(30)]).endswith(", ....")


@pytest.mark.parametrize("wrong", ["training.lr", "training.learning_rat", "learning_rate"])
def test_the_name_that_was_meant_is_found_among_thousands(wrong: str) -> None:
    """Though the likeness of a few is all that is computed."""
    names = [*(f"peft.library.entry_{number}" for number in range(3000)), "training.learning_rate"]
    assert near_names(wrong, names) == ("training.learning_rate",)


def test_a_word_that_could_be_abbreviated_in_countless_ways_costs_no_time() -> None:
    """Every part begins like every other."""
    assert near_names("a" * 60 + "b", ["_".join(["a" * 20] * 8)] * 2) != ()


def test_few_of_many_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a wrong name costs is bounded."""
    compared: list[str] = []
    monkeypatch.setattr("api_schemas.near_names._ratio", lambda left, right: compared.append(left) or 0.7)
    near_names("paramater", [f"parameter{number}" for number in range(1000)])
    assert 0 < len(compared) <= MOST_COMPARED
