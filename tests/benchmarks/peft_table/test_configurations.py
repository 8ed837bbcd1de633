"""Which configurations the table has."""

from api_schemas.peft.registry import PeftMethod
from benchmarks.autopeft.protocol import MANUAL
from benchmarks.peft_table.configurations import CUSTOMARY
from benchmarks.peft_table.record import configuration_of, entries
from tests.benchmarks.peft_table.recorded import line_of


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    """A table that grows keeps its rows."""
    longer = entries("imdb", 60)
    assert entries("imdb", 40) == longer[:40]
    assert len({one.configuration.model_dump_json() for one in longer}) == 60


def test_every_method_by_hand_has_four_rates_and_the_default_comes_first() -> None:
    """32 configurations and LoRA 8 as people run it."""
    manual = [one for one in entries("imdb", 60) if one.origin != "auto"]
    assert manual[0].name == CUSTOMARY
    assert all(sum(one.origin == name for one in manual) == 4 for name in MANUAL)


def test_all_tasks_have_the_same_configurations() -> None:
    """Or no portfolio could be chosen over several tasks."""
    one, other = entries("imdb", 60), entries("tweets", 60)
    assert [entry.configuration.peft for entry in one] == [entry.configuration.peft for entry in other]


def test_the_sample_holds_every_method_of_auto() -> None:
    """The rarest too."""
    methods = {one.configuration.peft.method for one in entries("imdb", 60) if one.origin == "auto"}
    assert {PeftMethod.FULL, PeftMethod.DORA, PeftMethod.BITFIT, PeftMethod.MODULES} <= methods


def test_a_line_is_read_back_as_the_configuration_that_it_was() -> None:
    """With its seed."""
    for number in (0, 5, 40, 59):
        entry = entries("tweets", 60)[number]
        seeded = entry.configuration.model_copy(
            update={"training": entry.configuration.training.model_copy(update={"seed": 2})}
        )
        assert configuration_of(line_of("tweets", number, 2)) == seeded
