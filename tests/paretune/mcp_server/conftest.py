"""Calls to the tools through the SDK's own client."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import mcp
import pytest
from anyio.from_thread import start_blocking_portal

from paretune.mcp_server.server import mcp_server
from tests.conftest import API_KEY

NO_STUDY = f"std_{'0' * 32}"

Call = Callable[..., tuple[bool, Any]]
WithTools = Callable[[str, str, Callable[[mcp.Client], Awaitable[None]]], None]


async def called(session: mcp.Client, tool: str, **arguments: Any) -> tuple[bool, Any]:
    """Whether the tool worked, and its structured answer or the text of its error."""
    result = await session.call_tool(tool, arguments)
    if result.is_error:
        return False, result.content[0].text
    return True, result.structured_content


@pytest.fixture(scope="session")
def with_tools() -> Iterator[WithTools]:
    """Runs a coroutine function with the tools, for a URL and a key.

    All tests share one conversation: each new one would build and check the schema of every tool anew.
    """
    callers: list[tuple[str, str]] = []
    client = mcp.Client(mcp_server(lambda: callers[-1]))
    with start_blocking_portal() as loop, loop.wrap_async_context_manager(client) as session:

        def talk(url: str, key: str, use: Callable[[mcp.Client], Awaitable[None]]) -> None:
            callers.append((url, key))
            loop.call(use, session)

        yield talk


@pytest.fixture
def call(server_url: str, with_tools: WithTools) -> Call:
    """Calls one tool with the key of the first tenant."""

    def once(tool: str, *, key: str = API_KEY, url: str = server_url, **arguments: Any) -> tuple[bool, Any]:
        answers: list[tuple[bool, Any]] = []

        async def use(session: mcp.Client) -> None:
            answers.append(await called(session, tool, **arguments))

        with_tools(url, key, use)
        return answers[0]

    return once
