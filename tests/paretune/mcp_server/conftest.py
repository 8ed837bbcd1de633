"""Calls to the tools through the SDK's own client."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import mcp
import pytest
from mcp.server.mcpserver import MCPServer

from paretune.mcp_server.server import mcp_server
from tests.conftest import API_KEY

NO_STUDY = f"std_{'0' * 32}"

Call = Callable[..., tuple[bool, Any]]


async def called(session: mcp.Client, tool: str, **arguments: Any) -> tuple[bool, Any]:
    """Whether the tool worked, and its structured answer or the text of its error."""
    result = await session.call_tool(tool, arguments)
    if result.is_error:
        return False, result.content[0].text
    return True, result.structured_content


_caller: list[tuple[str, str]] = []


@cache
def server() -> MCPServer:
    """Return the MCP server of all tests: to make one, a schema is built for every tool."""
    return mcp_server(lambda: _caller[-1])


def with_tools(url: str, key: str, use: Callable[[mcp.Client], Awaitable[None]]) -> None:
    async def talk() -> None:
        async with mcp.Client(server()) as session:
            await use(session)

    _caller.append((url, key))
    asyncio.run(talk())


@pytest.fixture
def call(server_url: str) -> Call:
    """Calls one tool with the key of the first tenant, in a conversation of its own."""

    def once(tool: str, *, key: str = API_KEY, url: str = server_url, **arguments: Any) -> tuple[bool, Any]:
        answers: list[tuple[bool, Any]] = []

        async def use(session: mcp.Client) -> None:
            answers.append(await called(session, tool, **arguments))

        with_tools(url, key, use)
        return answers[0]

    return once
