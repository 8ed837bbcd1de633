"""A wrong address, a wrong key and a text that is none each have a sentence; none is an absent server."""

import asyncio

import pytest

from api_schemas.access import KeyScope
from api_schemas.ask_and_tell import SuggestedTrial
from paretune.client import AsyncClient, Client
from paretune.client.trial_block import completion, failure
from paretune.errors import (
    AddressMalformed,
    CannotBeSent,
    KeyMalformed,
    ParetuneError,
    ServerUnreachable,
)

NOBODY = "http://127.0.0.1:1"
SUGGESTED = SuggestedTrial.model_construct(study_id="std_1", trial_id="trl_1", number=0, attempt=1)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:8080", "Write http://127.0.0.1:8080"),
        ("localhost", "Write http://localhost"),
        ("lab.example/paretune", "Write http://lab.example/paretune"),
        ("//lab.example", "Write http://lab.example or"),
        ("http:/lab.example", "Write http://lab.example or"),
        ("https//lab.example", "Write http://lab.example or"),
        ("http://xn--a", "no host and port"),
        ("http://lab..example", "no host and port"),
        (f"http://{'a' * 64}.example", "no host and port"),
        ("http://lab%00.example", "no name of a host"),
        ("http://lab\\example", "no name of a host"),
        ("http://lab.example:0", "no port 0"),
        ("http://lab.example:-1", "no port -1"),
        ("http://lab.example:65536", "no port 65536"),
        ("htp://lab.example", "not one of HTTP"),
        ("postgresql://user:secret@lab.example/x", "not one of HTTP"),
        ("", "empty"),
        ("  ", "empty"),
        ("http://lab.example\n", "line break"),
        (" http://lab.example", "space"),
        ("http://lab.exa mple", "holds a space"),
        ("http://lab.example/\x1b[31m", "control character"),
        ("http://lab\ud800.example", "control character"),
        ("http://", "names no host"),
        ("http://:8080", "names no host"),
        ("http://lab.example:port", "no host and port"),
        ("http://[::1", "no host and port"),
        ("http://127.0.0.1:8080/#key=ptk_secret", "'#'"),
        ("http://127.0.0.1:8080?key=ptk_secret", "'?'"),
    ],
)
def test_an_address_that_can_be_none_is_told_before_anything_is_sent(address: str, told: str) -> None:
    """Without what may be secret in it, and the same by both clients."""
    for kind in (Client, AsyncClient):
        with pytest.raises(AddressMalformed) as refused:
            kind(address, api_key="k")
        assert told in str(refused.value)
        assert "secret" not in str(refused.value)
        str(refused.value).encode()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "empty"),
        ("\n", "empty"),
        ("ptk_secret\n", "line break"),
        ("ptk_secret\r\n", "line break"),
        (" ptk_secret", "space"),
        ("ptk_sec ret", "U+0020"),
        ("ptk_sec\nret", "U+000A"),
        ("ptk_secrét", "U+00E9"),
        ("ptk_sec\ud800ret", "U+D800"),
        ("ptk_sec\x00ret", "U+0000"),
    ],
)
def test_a_key_that_can_be_none_is_told_without_repeating_it(key: str, told: str) -> None:
    """A file's last line break is the usual one."""
    for kind in (Client, AsyncClient):
        with pytest.raises(KeyMalformed) as refused:
            kind(NOBODY, api_key=key)
        assert told in str(refused.value)
        assert "sec" not in str(refused.value)


def test_what_a_client_takes_is_taken_as_before() -> None:
    """A path, a slash at the end, a password that no message shows."""
    with Client("https://user:secret@lab.example:8443/paretune/", api_key="ptk_k-_~") as client:
        assert client.base_url == "https://lab.example:8443/paretune"


HALF = "half \ud800"


def test_half_a_surrogate_pair_is_a_sentence_wherever_it_stands() -> None:
    """In a document, a name, an id, a query: nothing is sent, and nobody is said not to answer."""
    with Client(NOBODY, api_key="k") as client:
        for call in (
            lambda: client.create_study_from({"display_name": HALF}),
            lambda: client.create_study_from({HALF: 1}),
            lambda: client.create_key(name=HALF, scope=KeyScope.READ),
            lambda: client.get_study(HALF),
            lambda: client.suggest_trials("std_1", worker_id=HALF),
            lambda: client.recommendation("std_1", at_most=[HALF]),
            lambda: client.clone("std_1", edits={"display_name": HALF}),
            lambda: list(client.events(HALF)),
        ):
            with pytest.raises(CannotBeSent, match="half a surrogate pair"):
                call()

        async def ask() -> None:
            async with AsyncClient(NOBODY, api_key="k") as other:
                await other.get_study(HALF)

        with pytest.raises(CannotBeSent):
            asyncio.run(ask())


def test_arguments_that_the_api_would_not_take_are_a_sentence() -> None:
    """And an error of values, as before."""
    with Client(NOBODY, api_key="k") as client:
        for call in (
            lambda: client.create_key(name=""),
            lambda: client.extend("std_1", trials=0),
            lambda: client.get_study(""),
        ):
            with pytest.raises(CannotBeSent, match="Nothing was sent") as refused:
                call()
            assert isinstance(refused.value, ParetuneError)
            assert isinstance(refused.value, ValueError)


def test_an_id_is_one_step_of_a_path() -> None:
    """Whatever stands in it: it never leads to another route."""
    with Client(NOBODY, api_key="k") as client, pytest.raises(ServerUnreachable):
        client.get_study("../keys?page_size=1#")


def test_a_reason_that_is_no_text_is_told_nevertheless() -> None:
    """The trial fails with what can be said of the exception."""
    body = failure(SUGGESTED, f"ValueError: {HALF}\0").arguments()["content"]
    assert '"ValueError: half \\\\ud800"' in body


@pytest.mark.parametrize(
    ("value", "reason"),
    [(1e51, "beyond 1e+50: cost"), (float("nan"), "not-a-number"), (10**400, "beyond 1e+50")],
)
def test_a_number_that_no_study_takes_says_that_the_parameters_cannot_work(value: float, reason: str) -> None:
    """A failed trial would be tried again, to the same end."""
    content = completion(SUGGESTED, {"cost": value}).arguments()["content"]
    assert '"INFEASIBLE"' in content
    assert reason in content
