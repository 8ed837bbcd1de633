"""Beginnings of long texts that give the same first tokens as the whole, so that no text is read to its end.

A tokenizer reads all of a text before it cuts. It reads word by word, so what stands before white space
gives the same tokens whatever follows. Where there is no white space, a text is cut anywhere, and the cut
counts only if a longer beginning starts with the same tokens. Knows no special tokens and no labels.
"""

import re
from collections.abc import Sequence
from typing import Any

CHARACTERS_PER_TOKEN = 16
"""Of a long text, this many characters for each token kept are tokenised first; rarely more are needed."""

GROWTH = 4
"""What is checked begins with a quarter of that: some scripts have a token for each character."""

LOOK_AHEAD = 1021
"""Characters that a longer beginning has more: longer than any word that a tokenizer gives up on, and a
prime, so that a run of one character does not end in the same way in both."""

WORD_THEN_SPACE = re.compile(r".*\w(?=\s)", re.DOTALL)
"""Not after a full stop: some tokenizers read the end of a line together with the mark before it."""


def first_try(text: str, *, max_length: int) -> tuple[str, bool]:
    """Cut a text that is long for so many tokens; return also whether its first tokens are sure to stay."""
    return _cut(text, max_length * CHARACTERS_PER_TOKEN)


def beginnings(texts: Sequence[str], tokenizer: Any, *, max_length: int) -> list[str]:
    """Return of each text a beginning whose first `max_length` tokens are those of the text.

    A text of fewer tokens, or of which no shorter beginning will do, stays whole.
    """
    shortened = list(texts)
    near = max_length * CHARACTERS_PER_TOKEN // GROWTH
    pending = [at for at, text in enumerate(texts) if len(text) > near]
    while pending:
        parts = [_cut(texts[at], near) for at in pending]
        ids = _ids([part for part, _ in parts], tokenizer, max_length=max_length)
        doubtful = [place for place, (_, safe) in enumerate(parts) if not safe]
        further = [texts[pending[place]][: near + LOOK_AHEAD] for place in doubtful]
        ahead = dict(zip(doubtful, _ids(further, tokenizer, max_length=max_length), strict=True))
        enough = [
            len(of_part) == max_length and of_part == ahead.get(place, of_part)
            for place, of_part in enumerate(ids)
        ]
        for at, (part, _), good in zip(pending, parts, enough, strict=True):
            if good:
                shortened[at] = part
        near *= GROWTH
        pending = [at for at, good in zip(pending, enough, strict=True) if not good and len(texts[at]) > near]
    return shortened


def _cut(text: str, near: int) -> tuple[str, bool]:
    if len(text) <= near:
        return text, True
    word = WORD_THEN_SPACE.match(text, 0, near + 1)
    return (text[: word.end()], True) if word else (text[:near], False)


def _ids(texts: list[str], tokenizer: Any, *, max_length: int) -> list[list[int]]:
    if not texts:
        return []
    limits = {"add_special_tokens": False, "truncation": True, "max_length": max_length}
    ids: list[list[int]] = tokenizer(texts, **limits)["input_ids"]
    return ids
