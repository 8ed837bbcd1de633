"""Whatever others wrote, a terminal shows it and does not obey it."""

import ast
import io
import json
import time
from pathlib import Path

import pytest
from rich.progress import ProgressBar
from rich.table import Table

import paretune
from api_schemas.errors import Problem
from paretune import console as consoles
from paretune.bridge_progress import watched
from paretune.console import PlainConsole, complain, explain, say, say_json, styled, working
from paretune.printable import as_markdown, encodable, printable

HOSTILE = [
    ("[/INST]", "[/INST]"),
    ("[bold]x[/bold] [link=http://a]y[/link]", "[bold]x[/bold] [link=http://a]y[/link]"),
    ("pip install 'paretune[mcp]'", "pip install 'paretune[mcp]'"),
    (":smile: [red", ":smile: [red"),
    ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    ("\x9b31mred", "\\x9b31mred"),
    ("one\ntwo\rthree\ttabs", "one\\ntwo\\rthree\\ttabs"),
    ("half \ud800 of a pair", "half \\ud800 of a pair"),
    ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
    ("line\u2028separator", "line\\u2028separator"),
]


def _recorder(*, terminal: bool = False) -> tuple[PlainConsole, io.StringIO]:
    file = io.StringIO()
    return PlainConsole(file=file, width=120, force_terminal=terminal, highlight=False), file


@pytest.mark.parametrize(("written", "shown"), HOSTILE)
def test_a_text_is_printed_as_it_is_and_on_one_line(
    written: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither markup nor emoji codes are read, and control characters are written out."""
    made, file = _recorder()
    monkeypatch.setattr(consoles, "console", made)
    say(written)
    assert file.getvalue() == f"{shown}\n"


def test_sentences_break_between_words_and_commands_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; in a file a line is a line. What is to be copied stays whole."""
    sentence, command = "many words " * 20, f"Go on with: paretune resume {'std_0123456789' * 9} --yes"
    for terminal, broken in ((True, True), (False, False)):
        made, file = _recorder(terminal=terminal)
        monkeypatch.setattr(consoles, "console", made)
        explain(sentence, command)
        *first, last = file.getvalue().splitlines()
        assert (len(first) > 1) == broken
        assert all(line.split()[-1] in ("many", "words") for line in first)
        assert last == command


def test_what_takes_long_shows_its_step_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, and not before the pause is over."""
    made, file = _recorder(terminal=True)
    monkeypatch.setattr(consoles, "console", made)
    with working("[b]Quick"):
        pass
    assert file.getvalue() == ""
    monkeypatch.setattr(consoles, "SILENT_SECONDS", 0.0)
    with working("[b]Baking") as step:
        _until_shown(file, "[b]Baking")
        step("Icing")
        _until_shown(file, "Icing")
    assert "\x1b[2K" in file.getvalue().rpartition("Icing")[2]  # the line is erased


def test_without_a_terminal_steps_are_lines_or_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log has no spinner; stdout belongs to the answer."""
    monkeypatch.setattr(consoles, "SILENT_SECONDS", 0.0)
    for in_lines in (False, True):
        with working("Starting", in_lines=in_lines) as step:
            step("the database")
    assert capsys.readouterr() == ("", "the database\n")


def test_json_is_ascii_whatever_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a program reads the very same back."""
    made, file = _recorder()
    monkeypatch.setattr(consoles, "console", made)
    problem = Problem(type="/p", title="\x1b]0;x\x07 \u202e 学", status=503, detail="d")
    say_json({"one": problem, "several": [problem]})
    assert file.getvalue().isascii()
    assert "\x1b" not in file.getvalue()
    assert json.loads(file.getvalue())["several"][0]["title"] == problem.title


def _until_shown(file: io.StringIO, words: str) -> None:
    give_up = time.monotonic() + 30
    while words not in file.getvalue():
        assert time.monotonic() < give_up, file.getvalue()
        time.sleep(0.01)


@pytest.mark.parametrize(("written", "shown"), HOSTILE)
def test_a_table_shows_titles_headings_and_cells_as_they_are(written: str, shown: str) -> None:
    """Every place that takes a string."""
    made, file = _recorder()
    table = Table(written, title=written, caption=written)
    table.add_row(written)
    made.print(table)
    assert file.getvalue().count(shown) == 4


@pytest.mark.parametrize(("written", "shown"), HOSTILE)
def test_a_styled_text_and_a_bar_show_names_as_they_are(written: str, shown: str) -> None:
    """On a terminal, where our own styles are escape sequences, those of others still are none."""
    made, file = _recorder(terminal=True)
    made.print(styled((written, "bold"), " ", written))
    with watched(made, written) as on_progress:
        on_progress(1, 2)
    made.print(ProgressBar(total=2, completed=1))
    assert file.getvalue().count(shown) >= 3
    assert "\x1b]0;owned" not in file.getvalue()


@pytest.mark.parametrize(("written", "shown"), HOSTILE)
def test_an_error_is_told_as_it_is(written: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own lines stay lines."""
    complain(ValueError(f"{written.replace(chr(10), ' ')}\nsecond"))
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"ValueError: {shown.replace(chr(92) + 'n', ' ')}"
    assert second == "second"


def test_letters_of_every_language_stay() -> None:
    """What a terminal shows is not written out, nor are the joiners within a word or a sign."""
    for text in ("学习率", "é", "می‌خواهم", "👩‍💻", "a·b ● ±"):
        assert printable(text) == text
        assert encodable(text) == text
    assert encodable("a\ud800") == "a\\ud800"


def test_markdown_shows_a_name_as_it_is() -> None:
    """Neither a link nor a tag nor an escape sequence gets into a model card."""
    assert as_markdown("[a](http://b) <img>\x1b") == r"\[a\](http://b) \<img\>\\x1b"
    assert as_markdown("plain name, 7.5%") == "plain name, 7.5%"


def test_nothing_prints_but_the_console() -> None:
    """A module that printed by itself, or styled text with markup, would pass both by."""
    package = Path(paretune.__file__).parent
    calls = {"print", "echo", "secho", "Console", "from_markup", "Text", "assemble", "confirm", "prompt"}
    found = [
        f"{file.relative_to(package)}:{node.lineno}"
        for file in sorted(package.rglob("*.py"))
        if file.name != "console.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _called(node) in calls and not _is_console(node)
    ]
    assert found == []


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _is_console(node: ast.Call) -> bool:
    owner = getattr(node.func, "value", None)
    return getattr(owner, "id", "") == "console" and _called(node) == "print"
