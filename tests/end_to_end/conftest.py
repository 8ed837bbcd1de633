"""The server that tests share."""

from tests.end_to_end.stack import shared_stack

__all__ = ["shared_stack"]
