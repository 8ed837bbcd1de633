"""What the report of transfer says of curves."""

from pathlib import Path

import pytest

from benchmarks.transfer_report import BEGIN, END, median_trials, table, trials_to, write_report

CURVES = {
    "cifar100": {
        "none": [[0.5, 0.9, 0.96, 0.98], [0.7, 0.9, 0.94, 0.96]],
        "former": [[0.9, 0.98, 0.99, 0.99], [0.9, 0.94, 0.97, 0.99]],
        "negated": [],
    }
}


def test_a_share_that_is_never_reached_has_no_count() -> None:
    """Not the last trial, and not one more."""
    assert trials_to([0.5, 0.9], 0.97) is None


def test_the_first_trial_at_the_share_counts() -> None:
    """Counted from 1."""
    assert trials_to([0.5, 0.97, 0.99], 0.97) == 2


@pytest.mark.parametrize(
    ("reached", "median"), [([3, None, 5], 5), ([3, 4], 3.5), ([3, None], None), ([None, None, 2], None)]
)
def test_seeds_that_are_too_short_are_the_slowest(reached: list[int | None], median: float | None) -> None:
    """They are not left out of the median."""
    assert median_trials(reached) == median


def test_the_table_tells_means_medians_and_gain() -> None:
    """A row for each kind that has runs; area against the study without a source."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(CURVES).splitlines()[2:]]
    assert rows[0][4:] == ["3, 3, 4", ">4", "1", ""]
    assert rows[1][:3] == ["cifar100", "cifar10", "2"]
    assert rows[1][4:] == ["2, 2, 3", "2.5", "2", "+12.0%"]
    assert len(rows) == 2


def test_a_document_without_markers_is_refused_and_left(tmp_path: Path) -> None:
    """It says which lines are missing."""
    document = tmp_path / "page.md"
    document.write_text("words")
    with pytest.raises(ValueError, match="transfer: begin"):
        write_report(CURVES, document=document, image=tmp_path / "image.png")
    assert document.read_text() == "words"


@pytest.mark.slow
def test_words_around_the_markers_stay(tmp_path: Path) -> None:
    """Only what stands between is replaced; the image is drawn."""
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_report(CURVES, document=document, image=tmp_path / "image.png")
    text = document.read_text()
    assert (text.startswith("before\n"), text.endswith("after\n"), "old" in text) == (True, True, False)
    assert (tmp_path / "image.png").stat().st_size > 0
