"""The report, from made-up trials."""

from dataclasses import replace
from pathlib import Path

import pytest

from api_schemas.search_space import PresetName
from benchmarks.autopeft.protocol import SEARCHED_RATES
from benchmarks.autopeft.report import BEGIN, END, description, report, write_report
from benchmarks.autopeft.results import append, path_of
from benchmarks.autopeft.summary import (
    at_most,
    best,
    hypervolumes,
    read_summaries,
    smallest_as_good,
    summarise,
)
from tests.benchmarks.autopeft.recorded import configuration, finished_task, trial

TASK = "rotten-tomatoes"


def test_an_entry_needs_every_seed() -> None:
    """A configuration whose last seed is not there yet is not reported."""
    trials = [one for one in finished_task() if (one.phase, one.name, one.seed) != ("manual", "BitFit", 5)]
    assert "BitFit" not in [entry.name for entry in summarise(TASK, trials).manual]


def test_diverged_training_counts_as_guessing() -> None:
    """Of two classes: one half."""
    trials = [
        replace(one, test_score=None) if (one.phase, one.name) == ("manual", "MAM") else one
        for one in finished_task()
    ]
    found = next(entry for entry in summarise(TASK, trials).manual if entry.name == "MAM")
    assert found.mean == 0.5


def test_validation_chooses_and_test_does_not() -> None:
    """The member of no more parameters that validation preferred; none if all are larger."""
    small, large = summarise(TASK, finished_task()).searched
    assert best((small, large)) is large
    assert at_most((small, large), 49_999) is small
    assert at_most((small, large), 4_999) is None
    assert smallest_as_good((small, large), small.mean) is small
    assert smallest_as_good((small, large), 0.9) is None


def test_hypervolume_of_one_point_is_its_box() -> None:
    """From guessing and a tenth beyond the full parameters: (0.75 - 0.5) * log10(11)."""
    (small, _) = summarise(TASK, finished_task()).searched
    point = replace(small, scores=(0.75,) * 5, trainable_parameters=1_000)
    assert hypervolumes([point], task=TASK, full_parameters=10_000) == pytest.approx([0.25 * 1.0413927] * 5)


def test_a_configuration_is_named_by_its_modules() -> None:
    """And where they are."""
    found = configuration(peft__prefix_tuning__length=3, peft__active_layers=[True, False] * 3)
    assert description(found) == "prefix 3 in layers 0 2 4"
    assert description(configuration()) == "head alone"
    found = configuration(peft__lora__rank=2, peft__active_layers=[False, True] * 3)
    assert description(found) == "LoRA 2 on query value in layers 1 3 5"


def test_tables_compare_seed_by_seed() -> None:
    """Searched .80 + seed / 500 less MAM's .76 + seed / 1000: 4.3 points on average."""
    trials = finished_task()
    text = report({PresetName.AUTOPEFT: {TASK: summarise(TASK, trials)}}, trials)
    assert "MAM: 76.30 ± 0.16, 1,027,202 | +4.30 ± 0.16 (p < .001)" in text
    assert "Not run to the end yet: tweets, 20newsgroups, imdb." in text
    assert "| head only | - | - | - | - | - |" not in text
    assert "#### Transfer" not in text


def test_every_search_is_compared_with_the_same_trials_by_hand(tmp_path: Path) -> None:
    """Each from its own file; the methods by hand are listed once."""
    for one in finished_task():
        append(path_of(tmp_path, TASK), one)
        if one.phase in ("search", "searched"):
            moved = replace(one, test_score=None if one.test_score is None else one.test_score - 0.1)
            append(path_of(tmp_path, TASK, preset=PresetName.LORA), moved)
    sides = {preset: read_summaries(tmp_path, preset=preset) for preset in SEARCHED_RATES}
    text = report(sides, finished_task())
    first, second = text.split("### The preset `lora`")
    assert "MAM: 76.30 ± 0.16, 1,027,202 | +4.30 ± 0.16 (p < .001)" in first
    assert "MAM: 76.30 ± 0.16, 1,027,202 | -5.70 ± 0.16 (p < .001)" in second
    assert second.count("| **MAM** |") == 1
    assert second.count("searched 1: ") == 2


def test_the_best_by_the_mean_is_told_once_it_is_tested() -> None:
    """Final seeds bring the larger member down to .65, so the smaller one is best: 5 points less on test."""
    trials = finished_task()
    final = [
        trial("final", name, score, parameters=size, seed=seed, origin=name)
        for name, score, size in (("searched 0", 0.75, 5_000), ("searched 1", 0.575, 50_000))
        for seed in (6, 7)
    ]
    partly = report({PresetName.AUTOPEFT: {TASK: summarise(TASK, [*trials, *final[:1]])}}, trials)
    assert "with final seeds" not in partly
    text = report({PresetName.AUTOPEFT: {TASK: summarise(TASK, [*trials, *final])}}, trials)
    assert "| rotten-tomatoes | 4 | searched 0: serial 5 in layers 0 1 2 3 4 5: " in text
    assert "| -5.00 ± 0.00 (p" in text


@pytest.mark.slow
def test_only_what_stands_between_the_markers_is_written(tmp_path: Path) -> None:
    """With an image beside it; a document without markers is refused."""
    for one in [*finished_task(), *finished_task("tweets")]:
        append(tmp_path / f"{one.task}.jsonl", one)
    for seed in range(1, 6):
        moved = trial(
            "transferred", f"best of {TASK}", 0.7, test=0.7 + seed / 100, seed=seed, origin="searched 1",
            task="tweets",
        )  # fmt: skip
        append(tmp_path / "tweets.jsonl", moved)
    document = tmp_path / "page.md"
    document.write_text("no markers")
    with pytest.raises(ValueError, match="needs the lines"):
        write_report(tmp_path, document=document, images=tmp_path)
    document.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    write_report(tmp_path, document=document, images=tmp_path)
    text = document.read_text()
    assert text.startswith(f"above\n{BEGIN}\n")
    assert text.endswith(f"{END}\nbelow\n")
    assert "old" not in text
    assert f"| tweets | best of {TASK}, 1,000 | 73.00 ± 1.58 |" in text
    assert (tmp_path / "autopeft.png").stat().st_size > 0
