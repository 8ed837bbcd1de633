"""`paretune mcp` as an agent runs it: a process, its standard streams, and a server somewhere."""

import asyncio
import builtins
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp.client.session import IncomingMessage
from mcp.client.stdio import StdioServerParameters, stdio_client
from typer.testing import CliRunner

from paretune.cli import app
from paretune.client import Client
from paretune.errors import McpMissing
from service.storage.database import transaction
from service.storage.models import Study
from tests.conftest import API_KEY
from tests.paretune.client.studies import DOCUMENT, queue_trials
from tests.paretune.mcp_server.conftest import WithTools, called


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, not a traceback."""
    real = builtins.__import__

    def without_mcp(name: str, *rest: Any) -> Any:
        if name.startswith("paretune.mcp_server"):
            raise ModuleNotFoundError(name="mcp")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_mcp)
    result = CliRunner().invoke(app, ["mcp"])
    assert isinstance(result.exception, McpMissing)
    assert "pip install 'paretune[mcp]'" in str(result.exception)


def tell_everything(server_url: str, study_id: str) -> None:
    """Be the user's program, and what proposes to it."""
    with transaction() as session:
        queue_trials(session, session.get_one(Study, study_id, with_for_update=True), 3)
    with Client(server_url, api_key=API_KEY) as client:
        study = client.study(study_id)
        for trial in study.ask(3, wait_seconds=0):
            x = float(trial.parameters["x"])
            study.tell(trial, cost=x**2, gain=x * (1.5 - x))


async def from_nothing_to_a_choice(session: mcp.Client, server_url: str) -> None:
    worked, study = await called(session, "create_study", study={**DOCUMENT, "budget": {"trials": 3}})
    assert worked, study
    study_id = study["study_id"]
    assert study["state"] == "ACTIVE"
    await asyncio.to_thread(tell_everything, server_url, study_id)
    _, told = await called(
        session, "watch_study", study_id=study_id, wait_seconds=60, after_event=0, wait_for="study_ended"
    )
    assert told["study"]["state"] == "SUCCEEDED"
    assert told["study"]["trials"]["succeeded"] == 3
    _, trials = await called(session, "list_trials", study_id=study_id, states=["SUCCEEDED"])
    cheapest = min(trials["trials"], key=lambda trial: trial["metrics"]["cost"])
    _, front = await called(session, "pareto_front", study_id=study_id)
    assert front["points"][0]["number"] == cheapest["number"]
    _, chosen = await called(session, "recommend", study_id=study_id, weights={"cost": 1})
    assert (chosen["rule"], chosen["number"]) == ("weights", cheapest["number"])
    _, bounded = await called(
        session, "recommend", study_id=study_id, at_most={"cost": 4}, at_least={"gain": 0}
    )
    assert (bounded["rule"], bounded["number"]) == ("bounds", cheapest["number"])
    _, taken = await called(session, "export_trial", study_id=study_id, number=chosen["number"])
    assert taken["parameters"] == cheapest["parameters"]


def test_an_agent_goes_the_whole_way_once_a_server_is_there(server_url: str, tmp_path: Path) -> None:
    """At first there is none, which is said; it is found when it comes, and nothing else is on stdout."""
    no_messages: list[Exception] = []  # lines of stdout that are none

    async def hear(message: IncomingMessage) -> None:
        if isinstance(message, Exception):
            no_messages.append(message)

    async def talk() -> None:
        with tempfile.TemporaryFile("w+") as errors:
            process = StdioServerParameters(
                command=sys.executable,
                args=["-m", "paretune.cli", "mcp", "--state-dir", str(tmp_path)],
                env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": os.environ["PATH"]},
            )
            async with mcp.Client(stdio_client(process, errlog=errors), message_handler=hear) as session:
                worked, text = await called(session, "list_studies")
                assert not worked
                assert "`paretune up`" in text
                (tmp_path / "url").write_text(server_url)
                (tmp_path / "api_key").write_text(API_KEY)
                await from_nothing_to_a_choice(session, server_url)
            errors.seek(0)
            assert API_KEY not in errors.read()

    asyncio.run(talk())
    assert no_messages == []


def test_every_tool_explains_itself(with_tools: WithTools) -> None:
    """A description, described arguments, hints about what it changes, and a schema of its answer."""

    async def look(session: mcp.Client) -> None:
        tools = (await session.list_tools()).tools
        assert len(tools) == 12
        for tool in tools:
            assert tool.description
            assert tool.output_schema
            assert tool.annotations is not None
            for name, argument in tool.input_schema["properties"].items():
                assert "description" in argument or name == "limit", (tool.name, name)
        ending = [tool.name for tool in tools if tool.annotations and tool.annotations.destructive_hint]
        assert ending == ["cancel_study"]

    with_tools("http://127.0.0.1:1", API_KEY, look)
