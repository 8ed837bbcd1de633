"""Build requests from arguments, and report in one sentence what is wrong with an argument."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pydantic import ValidationError

from paretune.client.requests import NO_CHARACTER
from paretune.errors import CannotBeSent

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def described(
    describe: Callable[Arguments, Value], /, *args: Arguments.args, **named: Arguments.kwargs
) -> Value:
    """Return what a function makes of its arguments.

    Raises:
        CannotBeSent: If it is nothing that the API takes.
    """
    try:
        return describe(*args, **named)
    except ValidationError as error:
        faults = [_fault(item["loc"], item["type"], item["msg"]) for item in error.errors()]
        raise CannotBeSent("\n".join(["Nothing was sent:", *faults])) from error


def _fault(place: tuple[str | int, ...], kind: str, message: str) -> str:
    sentence = NO_CHARACTER if kind == "string_unicode" else message
    return f"  {'.'.join(map(str, place))}: {sentence}" if place else f"  {sentence}"
