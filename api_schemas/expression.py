"""The text of an expression; what it may say is in docs/ask_and_tell.md. Knows no grammar."""

from typing import Annotated

from pydantic import Field

LONGEST_EXPRESSION = 10_000

Expression = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_EXPRESSION, examples=["width * width * depth"]),
]
"""Arithmetic over the parameters of a custom study."""
