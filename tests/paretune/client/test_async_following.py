"""Events over many connections, for asynchronous programs, and those of the past as pages."""

import asyncio

import pytest

from paretune.client import AsyncClient, Client
from paretune.errors import RequestRefused, ServerUnreachable
from service.api.protocol import event_stream
from tests.conftest import API_KEY
from tests.paretune.client.studies import custom_study


def test_no_server_and_no_study_end_it_at_once() -> None:
    """A stream that was never heard is not waited for."""

    async def use() -> None:
        async with AsyncClient("http://127.0.0.1:1", api_key="k") as client:
            with pytest.raises(ServerUnreachable):
                await anext(client.events("std_1"))

    asyncio.run(use())


def test_events_of_no_study_are_refused(server_url: str) -> None:
    """404 before the first event, of the stream and of the pages."""

    async def use() -> None:
        async with AsyncClient(server_url, api_key=API_KEY) as client:
            for events in (client.events, client.past_events):
                with pytest.raises(RequestRefused) as refused:
                    await anext(events(f"std_{'0' * 32}"))
                assert refused.value.problem.status == 404

    asyncio.run(use())


def test_events_go_on_over_lost_connections(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once and in order, until the study is deleted; what is past can be read as pages."""
    monkeypatch.setattr(event_stream, "LONGEST_SECONDS", 0.001)
    monkeypatch.setattr("paretune.client.following.PAUSE_SECONDS", 0.0)

    async def use() -> None:
        async with AsyncClient(server_url, api_key=API_KEY) as client:
            study_id = (await client.create_study(custom_study())).id
            events = client.events(study_id)
            found = [await anext(events)]
            for change in (client.pause, client.resume, client.cancel):
                await change(study_id)
                found.append(await anext(events))
            assert [event.sequence for event in found] == [1, 2, 3, 4]
            found.append(await anext(events))
            past = [event async for event in client.past_events(study_id, after=1)]
            assert past == found[1:]
            await client.delete(study_id)
            assert [event async for event in events] == []

    asyncio.run(use())


def test_past_events_end_where_the_present_begins(server_url: str) -> None:
    """Also for the blocking twin."""
    with Client(server_url, api_key=API_KEY) as client:
        study = client.create_study(custom_study())
        assert [event.type for event in client.past_events(study.id)] == ["study.created"]
        assert list(client.past_events(study.id, after=1)) == []
