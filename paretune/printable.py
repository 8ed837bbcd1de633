"""Text of others as a terminal may be given it: what would steer the terminal is written out instead."""

import re
import unicodedata

UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, lone surrogates, separators of lines and paragraphs."""

REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They show what follows in another order than it has."""


MARKDOWN = re.compile(r"[\\`*_\[\]<>|#!&~$]")


def printable(text: str) -> str:
    """Return the text with what a terminal would act on written out, as Python writes it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def as_markdown(text: str) -> str:
    """Return the text for a line of Markdown, which shows it and takes none of it for markup."""
    return MARKDOWN.sub(r"\\\g<0>", printable(text))


def encodable(text: str) -> str:
    """Return the text with lone surrogates, which UTF-8 cannot say, written out."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _shown(character: str) -> str:
    if unicodedata.category(character) in UNPRINTABLE or character in REORDERING:
        return character.encode("unicode_escape").decode("ascii")
    return character
