"""The last lines of a log: bounded, legible, without what would break a terminal or a database."""

import sys
import threading

import pytest

from api_schemas.log_tail import LONGEST_LINE, MOST_BYTES, MOST_LINES, LogTail, last_lines


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\0b", "ab"),
        ("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07", "red link"),
        (b"caf\xe9".decode(errors="surrogateescape"), "caf?"),
        ("10%\r20%\rdone\r", "done"),
        ("tab\tstays \u202eevil", "tab\tstays evil"),
        ("<b onclick=x>", "<b onclick=x>"),
        ("\x1b", ""),
    ],
)
def test_a_line_is_made_fit_to_be_shown(said: str, shown: str) -> None:
    """Escapes and control characters are gone; what a terminal would have overwritten is, too."""
    assert last_lines(said).text == shown


def test_a_line_of_a_megabyte_is_cut() -> None:
    """It pushes nothing else out."""
    tail = LogTail()
    tail.add("before")
    tail.add("x" * 1_000_000)
    before, cut = tail.read().text.split("\n")
    assert before == "before"
    assert len(cut) == LONGEST_LINE
    assert cut.endswith("x […]")


def test_a_secret_across_the_cut_is_not_shown_in_part() -> None:
    """It is found before the line is cut."""
    shown = last_lines("x" * (LONGEST_LINE - 20) + " hf_" + "s3cr3t" * 20).text
    assert "s3cr3t" not in shown


def test_the_last_lines_stay_and_the_others_are_counted() -> None:
    """Neither more lines nor more bytes than the bounds."""
    many = last_lines("\n".join(map(str, range(1000))))
    assert many.text.split("\n") == [str(number) for number in range(1000 - MOST_LINES, 1000)]
    assert many.omitted_lines == 1000 - MOST_LINES
    wide = last_lines("\n".join("é" * 500 for _ in range(100)))
    assert MOST_BYTES - 1001 <= len(wide.text.encode()) <= MOST_BYTES
    assert wide.omitted_lines + len(wide.text.split("\n")) == 100


def test_of_a_progress_bar_the_last_state_stays() -> None:
    """Its hundreds of lines push nothing out, and a line after it stands below."""
    tail = LogTail()
    for text in ("before", *(f"epoch 1: {percent}%|###" for percent in range(100)), "after"):
        tail.add(text)
    assert tail.read().text.split("\n") == ["before", "epoch 1: 99%|###", "after"]
    assert tail.read().omitted_lines == 0


def test_nothing_said_is_nothing_shown() -> None:
    """No line, none before it."""
    assert (LogTail().read().text, LogTail().read().omitted_lines) == ("", 0)


def test_threads_may_add_while_another_reads() -> None:
    """Nothing breaks, and every line counts."""
    tail = LogTail()
    adding = [threading.Thread(target=lambda: [tail.add("line") for _ in range(500)]) for _ in range(2)]
    for thread in adding:
        thread.start()
    while any(thread.is_alive() for thread in adding):
        tail.read()
    last = tail.read()
    assert last.omitted_lines + len(last.text.split("\n")) == 1000


def test_two_progress_bars_may_move_at_the_same_time() -> None:
    """Of a script's output and its errors, each read by a thread: neither loses the other's line."""
    tail = LogTail()
    broken: list[BaseException] = []

    def move() -> None:
        try:
            for percent in range(5000):
                tail.add(f"{percent}%|#")
        except IndexError as error:
            broken.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        bars = [threading.Thread(target=move) for _ in range(4)]
        for bar in bars:
            bar.start()
        for bar in bars:
            bar.join()
    finally:
        sys.setswitchinterval(before)
    assert not broken
    assert len(tail.read().text.split("\n")) == 1
