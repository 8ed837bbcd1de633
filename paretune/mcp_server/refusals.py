"""What a failed call answers to a language model: what went wrong, and what to do next."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from mcp.server.mcpserver.exceptions import ToolError

from paretune.errors import (
    AddressMalformed,
    KeyMalformed,
    KeyMissing,
    NoServer,
    ParetuneError,
    RequestRefused,
    ServerUnreachable,
)
from paretune.printable import printable

ONLY_THE_USER = (AddressMalformed, KeyMalformed, KeyMissing, NoServer, ServerUnreachable)
BUSY = "Nothing was done. Try again in a minute."
BY_STATUS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: (
        "Ask the user to put a valid key into PARETUNE_API_KEY, where this MCP server is configured, and to "
        "start it again. Calling again does not help."
    ),
    HTTPStatus.FORBIDDEN: (
        "Ask the user for a key with a larger scope. The key of this MCP server may not do this."
    ),
    HTTPStatus.NOT_FOUND: "`list_studies` shows the ids of the studies, `list_trials` their trials.",
    HTTPStatus.CONFLICT: "`watch_study` shows the state of the study.",
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        "Correct what is named here (a pointer leads into the study that was sent) and call again. "
        "`study_format` shows how a study is written."
    ),
    HTTPStatus.TOO_MANY_REQUESTS: BUSY,
    HTTPStatus.SERVICE_UNAVAILABLE: BUSY,
}


@contextmanager
def explained() -> Iterator[None]:
    """Say what went wrong, with the pointers of the server, and what to do next.

    Raises:
        ToolError: The one kind of error whose text the SDK passes on.
    """
    try:
        yield
    except ParetuneError as error:
        lines = [*map(printable, str(error).split("\n")), _advice(error)]
        raise ToolError("\n".join(line for line in lines if line)) from error


def _advice(error: ParetuneError) -> str:
    if isinstance(error, RequestRefused):
        return BY_STATUS.get(error.problem.status, "")
    if isinstance(error, ONLY_THE_USER):
        return "Only the user can do that. Ask, and call again when it is done."
    return ""
