"""The client turns the server's answers into types, and its refusals into sentences."""

from collections.abc import Iterator

import pytest

from api_schemas.studies import StudyState
from paretune.client import Client
from paretune.errors import RequestRefused, ServerUnreachable
from tests.conftest import API_KEY, make_study_request


@pytest.fixture
def client(server_url: str) -> Iterator[Client]:
    with Client(server_url, api_key=API_KEY) as opened:
        yield opened


def test_no_server_is_explained() -> None:
    """The message names the address and what to run."""
    with (
        Client("http://127.0.0.1:1", api_key="k") as client,
        pytest.raises(ServerUnreachable, match="paretune up"),
    ):
        client.get_study("std_1")


def test_a_refusal_carries_its_problem(client: Client) -> None:
    """Detail and pointers reach the user."""
    bad = make_study_request(search_space={"parameters": [{"type": "bool", "name": "peft.active_layers.9"}]})
    with pytest.raises(RequestRefused, match=r"/search_space/parameters/0.*layers 0 to 5") as caught:
        client.create_study(bad)
    assert caught.value.problem.status == 422


def test_a_study_goes_there_and_back(client: Client) -> None:
    """What is posted is what is read, through every verb."""
    study = client.create_study(make_study_request(display_name="there and back"))
    assert client.get_study(study.id) == study
    assert [item.id for item in client.studies()] == [study.id]
    assert list(client.trials(study.id)) == []
    assert client.pareto_front(study.id).points == ()
    assert client.hypervolume_history(study.id).records == ()
    assert client.pause(study.id).state is StudyState.PAUSED
    assert client.resume(study.id).state is StudyState.ACTIVE
    assert client.cancel(study.id).state is StudyState.CANCELLED
