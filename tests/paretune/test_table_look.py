"""What a column is taken for, by its name and its cells."""

from collections import Counter
from collections.abc import Sequence

from paretune.table_look import Column, Guess, first_line_is_data, guess_label, guess_text

LONG = [f"a text that goes on for a while, number {number}" for number in range(40)]


def column(name: str, cells: Sequence[str]) -> Column:
    return Column(name, tuple(cells), Counter(cells))


def test_a_name_that_says_it_is_sure() -> None:
    """In any case of letters; of several, the plainer one."""
    columns = [column("Title", LONG), column("Text", ["short"] * 40), column("LABEL", ["a", "b"] * 20)]
    assert guess_text(columns) == Guess("Text", sure=True)
    assert guess_label(columns, text="Text") == Guess("LABEL", sure=True)


def test_without_a_name_the_longest_cells_are_texts_and_what_repeats_is_a_label() -> None:
    """A number of rows repeats nothing. Two that may be labels leave a doubt."""
    columns = [
        column("id", [str(n) for n in range(40)]),
        column("body of it", LONG),
        column("mood", ["a", "b"] * 20),
    ]
    assert guess_text(columns).column == "body of it"
    assert guess_label(columns, text="body of it") == Guess("mood", sure=True)
    columns.append(column("source", ["web", "app"] * 20))
    assert not guess_label(columns, text="body of it").sure
    assert (
        guess_label([*columns[:2], column("n", [str(n * n) for n in range(40)])], text="body of it").column
        is None
    )


def test_a_header_of_numbers_or_sentences_is_a_row() -> None:
    """Names of columns are short words."""
    assert first_line_is_data([column("1", ["0"]), column("text", LONG)])
    assert first_line_is_data([column("x" * 90, LONG)])
    assert not first_line_is_data([column("text", LONG), column("label", ["a"])])
